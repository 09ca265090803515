{{/* The namespaces are part of the signed and declared rights: they cannot be chosen. */}}
{{- define "miax.check" -}}
{{- if ne .Release.Namespace "miax-system" -}}
{{- fail "install into the namespace miax-system: helm install miax charts/miax -n miax-system --create-namespace" -}}
{{- end -}}
{{- with .Values.webhook.clientCa -}}
{{- if and .configMap .secret -}}
{{- fail "webhook.clientCa takes a configMap or a secret, not both" -}}
{{- end -}}
{{- if and .name (not .configMap) (not .secret) -}}
{{- fail "webhook.clientCa.name says nothing without webhook.clientCa.configMap or webhook.clientCa.secret" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "miax.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}{{ .repository }}@{{ .digest }}{{- else -}}{{ .repository }}:{{ .tag }}{{- end -}}
{{- end -}}
{{- end -}}

{{- define "miax.seat" -}}
seat-{{ lower . }}
{{- end -}}

{{/* The name of the object with the client authorities, when there is one and the role asks for certificates. */}}
{{- define "miax.clientCa" -}}
{{- if eq .role "webhook" -}}{{ .root.Values.webhook.clientCa.configMap }}{{ .root.Values.webhook.clientCa.secret }}{{- end -}}
{{- end -}}

{{/* What both roles' pods have in common; the argument is a dict of root, role and settings. */}}
{{- define "miax.pod" -}}
serviceAccountName: miax-{{ .role }}
automountServiceAccountToken: true
priorityClassName: {{ .root.Values.priorityClassName | quote }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  seccompProfile: {type: RuntimeDefault}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector: {matchLabels: {app.kubernetes.io/name: miax, app.kubernetes.io/component: {{ .role }}}}
containers:
  - name: {{ .role }}
    image: {{ include "miax.image" .root | quote }}
    imagePullPolicy: {{ .root.Values.image.pullPolicy }}
    args: [{{ .role }}]
    env:
      - {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
      {{- if eq .role "webhook" }}
      - {name: MIAX_PEER_LISTEN, value: "0.0.0.0:9444"}
      - {name: MIAX_PEER_IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
      {{- end }}
      - {name: MIAX_OWNER, value: {{ .root.Values.owner | quote }}}
      - {name: MIAX_LOG, value: {{ .root.Values.log | quote }}}
      - {name: MIAX_LOG_JSON, value: "true"}
      {{- with .root.Values.genesis }}
      - {name: MIAX_GENESIS, value: {{ . | quote }}}
      {{- end }}
      {{- if include "miax.clientCa" . }}
      - {name: MIAX_CLIENT_CA, value: {{ printf "/etc/miax/client-ca/%s" .root.Values.webhook.clientCa.key | quote }}}
      {{- with .root.Values.webhook.clientCa.name }}
      - {name: MIAX_CLIENT_NAME, value: {{ . | quote }}}
      {{- end }}
      {{- end }}
    ports:
      - {name: probes, containerPort: 8080}
      {{- if eq .role "webhook" }}
      - {name: reviews, containerPort: 9443}
      - {name: peers, containerPort: 9444}
      {{- end }}
    startupProbe: {httpGet: {path: /livez, port: probes}, periodSeconds: 1, failureThreshold: 60}
    livenessProbe: {httpGet: {path: /livez, port: probes}}
    readinessProbe: {httpGet: {path: /readyz, port: probes}, periodSeconds: 2}
    resources: {{- toYaml .settings.resources | nindent 6 }}
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities: {drop: [ALL]}
    {{- if include "miax.clientCa" . }}
    volumeMounts: [{name: client-ca, mountPath: /etc/miax/client-ca, readOnly: true}]
    {{- end }}
{{- if include "miax.clientCa" . }}
volumes:
  {{- with .root.Values.webhook.clientCa.configMap }}
  - {name: client-ca, configMap: {name: {{ . | quote }}}}
  {{- end }}
  {{- with .root.Values.webhook.clientCa.secret }}
  - {name: client-ca, secret: {secretName: {{ . | quote }}}}
  {{- end }}
{{- end }}
{{- end -}}
