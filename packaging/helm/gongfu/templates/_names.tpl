{{- define "gongfu.name" -}}
{{- printf "%s-gongfu" .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "gongfu.select" -}}
app.kubernetes.io/name: gongfu
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .role }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end -}}

{{- define "gongfu.labels" -}}
{{ include "gongfu.select" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}
