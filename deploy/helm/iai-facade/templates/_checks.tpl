{{/* Values that exclude or need each other, with what to do. */}}
{{- define "iai-facade.checks" -}}
{{- with .Values.credentials }}
{{- if and (eq .source "secret") (not .existingSecret) }}
{{- fail "\n\ncredentials.existingSecret is required with credentials.source=secret. Create the Secret:\n\n  kubectl create secret generic tencentcloud --from-file=id=FILE --from-file=key=FILE\n\nand add --set credentials.existingSecret=tencentcloud. To try the chart without an account, add --set credentials.source=emulator\n" }}
{{- end }}
{{- if and (eq .source "web-identity") (not .webIdentity.roleArn) }}
{{- fail "credentials.webIdentity.roleArn is required with credentials.source=web-identity: the CAM role that trusts the ServiceAccount" }}
{{- end }}
{{- if and (eq .source "web-identity") (not $.Values.serviceAccount.create) (not $.Values.serviceAccount.name) }}
{{- fail "serviceAccount.name is required with credentials.source=web-identity and serviceAccount.create=false" }}
{{- end }}
{{- end }}
{{- if and .Values.tls.clientCaKey (not .Values.tls.existingSecret) }}
{{- fail "tls.clientCaKey needs tls.existingSecret" }}
{{- end }}
{{- with .Values.autoscaling }}
{{- if and .enabled (gt (int .minReplicas) (int .maxReplicas)) }}
{{- fail "autoscaling.minReplicas is greater than autoscaling.maxReplicas" }}
{{- end }}
{{- end }}
{{- if and .Values.grpcRoute.enabled (not .Values.grpcRoute.parentRefs) }}
{{- fail "grpcRoute.parentRefs is required with grpcRoute.enabled: the Gateway to attach to" }}
{{- end }}
{{- end }}
