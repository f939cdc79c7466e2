{{/* The name of the application. */}}
{{- define "iai-facade.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" }}
{{- end }}

{{/* The name of the objects. A suffix such as -headless must fit into the 63 characters of a name. */}}
{{- define "iai-facade.fullname" -}}
{{- $name := include "iai-facade.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* The labels by which Services and policies select the pods. They never change. */}}
{{- define "iai-facade.selectorLabels" -}}
app.kubernetes.io/name: {{ include "iai-facade.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: server
{{- end }}

{{/* The labels of all objects except the pods. */}}
{{- define "iai-facade.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/name: {{ include "iai-facade.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | trunc 63 | quote }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "iai-facade.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "iai-facade.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* The image. No image is published, so that the repository has no default. */}}
{{- define "iai-facade.image" -}}
{{- if not .Values.image.repository }}
{{- $image := printf "REGISTRY/iai-facade:%s" (.Values.image.tag | default .Chart.AppVersion) }}
{{- fail (printf "\n\nimage.repository is required, because no image is published. Build and push one:\n\n  docker build --tag %s .\n  docker push %s\n\nand add --set image.repository=REGISTRY/iai-facade\n" $image $image) }}
{{- end }}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) }}
{{- end }}
{{- end }}

{{/* A duration such as 500ms, 10s or 2m in seconds, rounded up. */}}
{{- define "iai-facade.seconds" -}}
{{- $number := regexFind "^[0-9]+" . | int64 }}
{{- $unit := regexFind "[a-z]+$" . }}
{{- if eq $unit "ms" }}
{{- div (add $number 999) 1000 }}
{{- else }}
{{- mul $number (get (dict "s" 1 "m" 60 "h" 3600 "d" 86400) $unit) }}
{{- end }}
{{- end }}

{{/* A size such as 65536, 64KiB or 4MiB in MiB, rounded up. */}}
{{- define "iai-facade.mebibytes" -}}
{{- $number := regexFind "^[0-9]+" . | int64 }}
{{- $unit := regexFind "[A-Za-z]+$" . | default "B" }}
{{- $bytes := mul $number (get (dict "B" 1 "KiB" 1024 "MiB" 1048576 "GiB" 1073741824) $unit) }}
{{- div (add $bytes 1048575) 1048576 }}
{{- end }}

{{/* MiB that the cache takes when it is full, none without a TTL. */}}
{{- define "iai-facade.cacheMebibytes" -}}
{{- if regexMatch "[1-9]" (index .Values.settings "cache-ttl") }}
{{- include "iai-facade.mebibytes" (index .Values.settings "cache-max-bytes" | toString) }}
{{- else }}
{{- 0 }}
{{- end }}
{{- end }}

{{/* Resources: the memory follows from the cache; a limit of processor time would delay calls. */}}
{{- define "iai-facade.resources" -}}
{{- $cache := include "iai-facade.cacheMebibytes" . | int64 }}
{{- $requests := dict "cpu" "100m" "memory" (printf "%dMi" (add 64 $cache)) }}
{{- $limits := dict "memory" (printf "%dMi" (add 256 $cache)) }}
{{- mergeOverwrite (dict "requests" $requests "limits" $limits) .Values.resources | toYaml }}
{{- end }}

{{/* Seconds of grace: the service ends by itself after both delays. */}}
{{- define "iai-facade.gracePeriodSeconds" -}}
{{- $unready := include "iai-facade.seconds" (index .Values.settings "unready-delay") | int64 }}
{{- $drain := include "iai-facade.seconds" (index .Values.settings "drain-timeout") | int64 }}
{{- add $unready $drain 5 }}
{{- end }}

{{/* A setting as the text of a variable. Numbers of values are floating: 1000000 would be 1e+06. */}}
{{- define "iai-facade.text" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) }}
{{- int64 . }}
{{- else }}
{{- toString . }}
{{- end }}
{{- end }}

{{- define "iai-facade.appProtocol" -}}
{{- .Values.service.appProtocol | default (ternary "https" "kubernetes.io/h2c" (ne .Values.tls.existingSecret "")) }}
{{- end }}
