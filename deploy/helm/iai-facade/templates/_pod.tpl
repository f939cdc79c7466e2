{{/* The variables of the service. They also configure `iai-facade probe` in its container. */}}
{{- define "iai-facade.env" -}}
{{- $secrets := "/run/secrets" -}}
- name: IAI_FACADE_LISTEN
  value: {{ printf "%s:50051" .Values.listenAddress | quote }}
- name: IAI_FACADE_ADMIN_LISTEN
  value: {{ printf "%s:9464" .Values.listenAddress | quote }}
{{- with .Values.credentials }}
{{- if eq .source "emulator" }}
- name: IAI_FACADE_EMULATE
  value: "true"
{{- else if eq .source "secret" }}
- name: IAI_FACADE_CREDENTIALS
  value: files
- name: IAI_FACADE_SECRET_ID_FILE
  value: {{ printf "%s/tencentcloud/%s" $secrets .secretIdKey }}
- name: IAI_FACADE_SECRET_KEY_FILE
  value: {{ printf "%s/tencentcloud/%s" $secrets .secretKeyKey }}
{{- if .tokenKey }}
- name: IAI_FACADE_TOKEN_FILE
  value: {{ printf "%s/tencentcloud/%s" $secrets .tokenKey }}
{{- end }}
{{- else }}
- name: IAI_FACADE_CREDENTIALS
  value: {{ .source }}
{{- end }}
{{- end }}
{{- with .Values.tls }}
{{- if .existingSecret }}
- name: IAI_FACADE_TLS_CERT
  value: {{ printf "%s/tls/%s" $secrets .certKey }}
- name: IAI_FACADE_TLS_KEY
  value: {{ printf "%s/tls/%s" $secrets .keyKey }}
{{- if .clientCaKey }}
- name: IAI_FACADE_TLS_CLIENT_CA
  value: {{ printf "%s/tls/%s" $secrets .clientCaKey }}
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.tokens }}
{{- if .existingSecret }}
- name: IAI_FACADE_TOKENS_FILE
  value: {{ printf "%s/tokens/%s" $secrets .key }}
{{- end }}
{{- end }}
{{- with .Values.logHashKey }}
{{- if .existingSecret }}
- name: IAI_FACADE_LOG_HASH_KEY_FILE
  value: {{ printf "%s/log-hash-key/%s" $secrets .key }}
{{- end }}
{{- end }}
{{- with .Values.tracing.endpoint }}
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ . | quote }}
{{- range $name, $field := dict "POD_NAME" "metadata.name" "POD_NAMESPACE" "metadata.namespace" "NODE_NAME" "spec.nodeName" }}
- name: {{ $name }}
  valueFrom:
    fieldRef:
      fieldPath: {{ $field }}
{{- end }}
- name: OTEL_RESOURCE_ATTRIBUTES
  value: k8s.pod.name=$(POD_NAME),k8s.namespace.name=$(POD_NAMESPACE),k8s.node.name=$(NODE_NAME)
{{- end }}
{{- range $name, $value := .Values.settings }}
- name: IAI_FACADE_{{ $name | upper | replace "-" "_" }}
  value: {{ include "iai-facade.text" $value | quote }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "iai-facade.secrets" -}}
{{- $secrets := list }}
{{- if eq .Values.credentials.source "secret" }}
{{- $secrets = append $secrets (dict "name" "tencentcloud" "secret" .Values.credentials.existingSecret) }}
{{- end }}
{{- range $name, $key := dict "tls" "tls" "tokens" "tokens" "log-hash-key" "logHashKey" }}
{{- with (index $.Values $key).existingSecret }}
{{- $secrets = append $secrets (dict "name" $name "secret" .) }}
{{- end }}
{{- end }}
{{- toJson $secrets }}
{{- end }}

{{/* Mounts of whole Secrets: the kubelet never updates a file that is mounted by subPath. */}}
{{- define "iai-facade.volumeMounts" -}}
{{- range include "iai-facade.secrets" . | fromJsonArray }}
- name: {{ .name }}
  mountPath: /run/secrets/{{ .name }}
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "iai-facade.volumes" -}}
{{- range include "iai-facade.secrets" . | fromJsonArray }}
- name: {{ .name }}
  secret:
    secretName: {{ .secret }}
    # Readable by the group of the pod, fsGroup.
    defaultMode: 0440
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "iai-facade.topologySpreadConstraints" -}}
{{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
- maxSkew: 1
  topologyKey: {{ . }}
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "iai-facade.selectorLabels" $ | nindent 6 }}
  # Counts the pods of each revision alone, or those of the last one would bend a rollout.
  matchLabelKeys: [pod-template-hash]
{{- end }}
{{- end }}
