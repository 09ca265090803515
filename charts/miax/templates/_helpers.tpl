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
{{- if .Values.controller.prune.enabled -}}
{{- if lt (len .Values.controller.archives) 2 -}}
{{- fail "controller.prune needs two controller.archives: what is deleted must be in both" -}}
{{- end -}}
{{- if or (not .Values.witnesses.members) (eq .Values.witnesses.mode "off") -}}
{{- fail "controller.prune needs witnesses that are asked: witnesses.members, and witnesses.mode other than off" -}}
{{- end -}}
{{- end -}}
{{- with .Values.controller.prometheus -}}
{{- if and (not .url) (or .allowHttp .ca.configMap .clientSecret .token.audience .token.secret .ports) -}}
{{- fail "controller.prometheus says nothing without controller.prometheus.url" -}}
{{- end -}}
{{- if and .token.audience .token.secret -}}
{{- fail "controller.prometheus.token takes an audience or a secret, not both" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.monitoring.podMonitor.enabled .Values.monitoring.serviceMonitor.enabled -}}
{{- fail "monitoring takes a podMonitor or a serviceMonitor, not both: every pod would be scraped twice" -}}
{{- end -}}
{{- with .Values.witnesses -}}
{{- if and (eq .mode "require") (not .members) -}}
{{- fail "witnesses.mode is require, but witnesses.members is empty: nothing could ever be allowed" -}}
{{- end -}}
{{- if gt (int .quorum) (len .members) -}}
{{- fail "witnesses.quorum is larger than the number of witnesses.members" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* How a pod is scraped; the context is the monitor's values. */}}
{{- define "miax.scraped" -}}
port: probes
path: /metrics
interval: {{ .interval }}
relabelings:
  # The alerts ask it: webhook or controller.
  - {sourceLabels: [__meta_kubernetes_pod_label_app_kubernetes_io_component], targetLabel: role}
{{- end -}}

{{/* The name of the ConfigMap with the witnesses' authorities. */}}
{{- define "miax.witnessCa" -}}
{{ .root.Values.witnesses.ca.configMap }}
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

{{/* The name of the claim for the salts of commitments, when there is one and the role makes salts. */}}
{{- define "miax.salts" -}}
{{- if eq .role "webhook" -}}{{ .root.Values.webhook.salts.claim }}{{- end -}}
{{- end -}}

{{/* The archives, when the role keeps them. */}}
{{- define "miax.archives" -}}
{{- if eq .role "controller" -}}
{{- range $i, $archive := .root.Values.controller.archives -}}
{{- if $i -}},{{- end -}}{{ $archive.name }}={{ with $archive.url }}{{ . }}{{ else }}file:///var/lib/miax/archives/{{ $archive.name }}{{ end }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Those of them that are volumes, as a list. */}}
{{- define "miax.archiveVolumes" -}}
{{- if eq .role "controller" -}}
{{- range .root.Values.controller.archives }}{{ if .claim }}{{ .name }} {{ end }}{{ end -}}
{{- end -}}
{{- end -}}

{{/* Whether the role asks Prometheus with something that stands in a file. */}}
{{- define "miax.prometheusFiles" -}}
{{- with .root.Values.controller.prometheus -}}
{{- if eq $.role "controller" -}}{{ .ca.configMap }}{{ .clientSecret }}{{ .token.audience }}{{ .token.secret }}{{- end -}}
{{- end -}}
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
  {{- if include "miax.archiveVolumes" . }}
  fsGroup: 65532
  {{- end }}
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
      - {name: MIAX_AUDIT_PERIOD, value: {{ .root.Values.auditPeriod | quote }}}
      - {name: MIAX_LEDGER_CAP, value: {{ .root.Values.ledgerCap | quote }}}
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
      {{- with include "miax.archives" . }}
      - {name: MIAX_ARCHIVES, value: {{ . | quote }}}
      - {name: MIAX_ARCHIVE_PATIENCE, value: {{ $.root.Values.controller.archivePatience | quote }}}
      {{- end }}
      {{- if and (eq .role "controller") .root.Values.controller.prune.enabled }}
      - {name: MIAX_PRUNE, value: "true"}
      - {name: MIAX_KEEP_BLOCKS, value: {{ .root.Values.controller.prune.keepBlocks | quote }}}
      {{- end }}
      {{- if and (eq .role "controller") .root.Values.gate.kinds }}
      - {name: MIAX_GATE_KINDS, value: {{ join "," .root.Values.gate.kinds | quote }}}
      {{- end }}
      {{- with .root.Values.controller.prometheus }}
      {{- if and (eq $.role "controller") .url }}
      - {name: MIAX_PROMETHEUS_URL, value: {{ .url | quote }}}
      {{- if .allowHttp }}
      - {name: MIAX_PROMETHEUS_ALLOW_HTTP, value: "true"}
      {{- end }}
      {{- if .ca.configMap }}
      - {name: MIAX_PROMETHEUS_CA, value: /etc/miax/prometheus/ca.crt}
      {{- end }}
      {{- if .clientSecret }}
      - {name: MIAX_PROMETHEUS_CERT, value: /etc/miax/prometheus/tls.crt}
      - {name: MIAX_PROMETHEUS_KEY, value: /etc/miax/prometheus/tls.key}
      {{- end }}
      {{- if or .token.audience .token.secret }}
      - {name: MIAX_PROMETHEUS_TOKEN_FILE, value: /etc/miax/prometheus/token}
      {{- end }}
      {{- end }}
      {{- end }}
      {{- with .root.Values.witnesses }}
      {{- if .members }}
      - {name: MIAX_WITNESSES, value: {{ join "," .members | quote }}}
      - {name: MIAX_WITNESS_MODE, value: {{ .mode | quote }}}
      - {name: MIAX_WITNESS_MAX_AGE, value: {{ .maxAge | quote }}}
      {{- if .quorum }}
      - {name: MIAX_WITNESS_QUORUM, value: {{ .quorum | quote }}}
      {{- end }}
      {{- end }}
      {{- end }}
      {{- if include "miax.witnessCa" . }}
      - {name: MIAX_WITNESS_CA, value: {{ printf "/etc/miax/witness-ca/%s" .root.Values.witnesses.ca.key | quote }}}
      {{- end }}
      {{- if include "miax.salts" . }}
      - {name: MIAX_SALTS, value: /var/lib/miax/salts}
      {{- end }}
    {{- if and (eq .role "controller") .root.Values.controller.archiveSecret }}
    envFrom: [{secretRef: {name: {{ .root.Values.controller.archiveSecret | quote }}}}]
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
    {{- if or (include "miax.clientCa" .) (include "miax.witnessCa" .) (include "miax.salts" .) (include "miax.archiveVolumes" .) (include "miax.prometheusFiles" .) }}
    volumeMounts:
      {{- if include "miax.clientCa" . }}
      - {name: client-ca, mountPath: /etc/miax/client-ca, readOnly: true}
      {{- end }}
      {{- if include "miax.witnessCa" . }}
      - {name: witness-ca, mountPath: /etc/miax/witness-ca, readOnly: true}
      {{- end }}
      {{- if include "miax.prometheusFiles" . }}
      - {name: prometheus, mountPath: /etc/miax/prometheus, readOnly: true}
      {{- end }}
      {{- if include "miax.salts" . }}
      - {name: salts, mountPath: /var/lib/miax/salts}
      {{- end }}
      {{- if include "miax.archiveVolumes" . }}
      {{- range .root.Values.controller.archives }}
      {{- if .claim }}
      - {name: archive-{{ .name }}, mountPath: /var/lib/miax/archives/{{ .name }}}
      {{- end }}
      {{- end }}
      {{- end }}
    {{- end }}
{{- if or (include "miax.clientCa" .) (include "miax.witnessCa" .) (include "miax.salts" .) (include "miax.archiveVolumes" .) (include "miax.prometheusFiles" .) }}
volumes:
  {{- if include "miax.clientCa" . }}
  {{- with .root.Values.webhook.clientCa.configMap }}
  - {name: client-ca, configMap: {name: {{ . | quote }}}}
  {{- end }}
  {{- with .root.Values.webhook.clientCa.secret }}
  - {name: client-ca, secret: {secretName: {{ . | quote }}}}
  {{- end }}
  {{- end }}
  {{- if include "miax.witnessCa" . }}
  - {name: witness-ca, configMap: {name: {{ include "miax.witnessCa" . | quote }}}}
  {{- end }}
  {{- if include "miax.prometheusFiles" . }}
  {{- with .root.Values.controller.prometheus }}
  - name: prometheus
    projected:
      sources:
        {{- with .ca }}
        {{- if .configMap }}
        - configMap: {name: {{ .configMap | quote }}, items: [{key: {{ .key | quote }}, path: ca.crt}]}
        {{- end }}
        {{- end }}
        {{- with .clientSecret }}
        - secret: {name: {{ . | quote }}, items: [{key: tls.crt, path: tls.crt}, {key: tls.key, path: tls.key}]}
        {{- end }}
        {{- with .token }}
        {{- if .audience }}
        - serviceAccountToken: {audience: {{ .audience | quote }}, path: token}
        {{- end }}
        {{- if .secret }}
        - secret: {name: {{ .secret | quote }}, items: [{key: {{ .key | quote }}, path: token}]}
        {{- end }}
        {{- end }}
  {{- end }}
  {{- end }}
  {{- with include "miax.salts" . }}
  - {name: salts, persistentVolumeClaim: {claimName: {{ . | quote }}}}
  {{- end }}
  {{- if include "miax.archiveVolumes" . }}
  {{- range .root.Values.controller.archives }}
  {{- if .claim }}
  - {name: archive-{{ .name }}, persistentVolumeClaim: {claimName: {{ .claim | quote }}}}
  {{- end }}
  {{- end }}
  {{- end }}
{{- end }}
{{- end -}}
