{{- /* Pod of one role. The configuration holds @...@ where each pod puts its own name and the secrets. */ -}}
{{- define "gongfu.pod" -}}
{{- $own := index .root.Values .role -}}
metadata:
  labels:
    {{- include "gongfu.labels" . | nindent 4 }}
  annotations:
    checksum/config: {{ include (print .root.Template.BasePath "/config.yaml") .root | sha256sum }}
spec:
  serviceAccountName: {{ include "gongfu.name" .root }}
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 150
  {{- with .root.Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 10001
    runAsGroup: 10001
    fsGroup: 10001
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile:
      type: RuntimeDefault
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "gongfu.select" . | nindent 10 }}
  {{- with .root.Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .root.Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: {{ .role }}
      image: "{{ .root.Values.image.repository }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}"
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      command: ["/bin/sh", "-euc"]
      args:
        - >-
          sed -e "s|@INSTANCE@|${POD_NAME}|; s|@ROLE@|{{ .role }}|; s|@NATS_TOKEN@|${NATS_TOKEN}|"
          -e "s|@HISTORY_PASSWORD@|${HISTORY_PASSWORD}|; s|@RECORDS_PASSWORD@|${RECORDS_PASSWORD}|"
          /etc/gongfu/gongfu.toml > /run/gongfu/gongfu.toml;
          exec gongfu up --config /run/gongfu/gongfu.toml --data-dir /var/lib/gongfu --quiet
      env:
        - name: POD_NAME
          valueFrom:
            fieldRef:
              fieldPath: metadata.name
        {{- range $name, $key := dict "NATS_TOKEN" "nats-token" "HISTORY_PASSWORD" "history-password" "RECORDS_PASSWORD" "records-password" "GONGFU_DEVICE_KEY" "device-key" }}
        - name: {{ $name }}
          valueFrom:
            secretKeyRef:
              name: {{ $.root.Values.existingSecret }}
              key: {{ $key }}
        {{- end }}
      {{- if eq .role "door" }}
      ports:
        - {name: mqtt, containerPort: 1883}
        - {name: mqtt-ws, containerPort: 8083}
      startupProbe:
        tcpSocket: {port: mqtt}
        periodSeconds: 2
        failureThreshold: 60
      readinessProbe:
        tcpSocket: {port: mqtt}
        periodSeconds: 5
      livenessProbe:
        tcpSocket: {port: mqtt}
        periodSeconds: 20
        failureThreshold: 6
      {{- else if eq .role "web" }}
      ports:
        - {name: http, containerPort: 8080}
      startupProbe:
        httpGet: {path: /v1/health, port: http}
        periodSeconds: 2
        failureThreshold: 60
      readinessProbe:
        httpGet: {path: /v1/health, port: http}
        periodSeconds: 5
      livenessProbe:
        httpGet: {path: /v1/health, port: http}
        periodSeconds: 20
        failureThreshold: 6
      {{- end }}
      resources:
        {{- toYaml $own.resources | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: [ALL]
      volumeMounts:
        - {name: config, mountPath: /etc/gongfu, readOnly: true}
        - {name: run, mountPath: /run/gongfu}
        - {name: tmp, mountPath: /tmp}
        - {name: data, mountPath: /var/lib/gongfu}
  volumes:
    - name: config
      configMap:
        name: {{ include "gongfu.name" .root }}
    - name: run
      emptyDir: {medium: Memory, sizeLimit: 1Mi}
    - name: tmp
      emptyDir: {}
    {{- if eq .role "web" }}
    - name: data
      emptyDir: {}
    {{- end }}
{{- end -}}
