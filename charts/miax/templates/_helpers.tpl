{{/* The namespaces are part of the signed and declared rights: they cannot be chosen. */}}
{{- define "miax.check" -}}
{{- if ne .Release.Namespace "miax-system" -}}
{{- fail "install into the namespace miax-system: helm install miax charts/miax -n miax-system --create-namespace" -}}
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
      - {name: MIAX_OWNER, value: {{ .root.Values.owner | quote }}}
      - {name: MIAX_LOG, value: {{ .root.Values.log | quote }}}
      - {name: MIAX_LOG_JSON, value: "true"}
      {{- with .root.Values.genesis }}
      - {name: MIAX_GENESIS, value: {{ . | quote }}}
      {{- end }}
    ports:
      - {name: probes, containerPort: 8080}
      {{- if eq .role "webhook" }}
      - {name: reviews, containerPort: 9443}
      {{- end }}
    startupProbe: {httpGet: {path: /livez, port: probes}, periodSeconds: 1, failureThreshold: 60}
    livenessProbe: {httpGet: {path: /livez, port: probes}}
    readinessProbe: {httpGet: {path: /readyz, port: probes}, periodSeconds: 2}
    resources: {{- toYaml .settings.resources | nindent 6 }}
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities: {drop: [ALL]}
{{- end -}}
