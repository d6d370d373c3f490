{{- /* The template of pachd's pods. */ -}}
{{- define "trunkline.pod" -}}
{{- $p := .Values.pachd }}{{ $pg := .Values.global.postgresql }}{{ $postgres := include "trunkline.postgres" . -}}
{{- $tls := include "trunkline.tlsSecret" . -}}
metadata:
  labels:
    {{- include "trunkline.labels" (dict "name" "pachd" "root" .) | nindent 4 }}
    {{- with $p.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    # Pods are replaced when what they read at their start has changed.
    trunkline/told: {{ printf "%s %s %s %s %s" (include "trunkline.databaseURL" .) $pg.postgresqlPassword $pg.postgresqlSSLCACert $p.secretsKey (toJson $p.storage) | sha256sum | quote }}
    {{- with $p.annotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "trunkline.account" . }}
  automountServiceAccountToken: true
  {{- with include "trunkline.pullSecrets" . }}
  imagePullSecrets:
    {{- range $one := splitList "," . }}
    - name: {{ $one | quote }}
    {{- end }}
  {{- end }}
  {{- with $p.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with $p.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $p.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $p.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    {{- if .Values.global.securityContexts.enabled }}
    runAsUser: 1000
    runAsGroup: 1000
    fsGroup: 1000
    {{- end }}
    seccompProfile:
      type: RuntimeDefault
  terminationGracePeriodSeconds: 30
  containers:
    - name: pachd
      image: {{ include "trunkline.image" . | quote }}
      imagePullPolicy: {{ $p.image.pullPolicy }}
      command: [pachd]
      env:
        {{- include "trunkline.env" . | nindent 8 }}
      envFrom:
        - secretRef:
            name: {{ include "trunkline.storageSecret" . }}
      ports:
        - name: api
          containerPort: 30650
          protocol: TCP
        - name: s3
          containerPort: 30600
          protocol: TCP
        {{- if $tls }}
        - name: peer
          containerPort: 30653
          protocol: TCP
        {{- end }}
      # A start waits for the database and brings its tables up to date.
      startupProbe:
        httpGet:
          path: /healthz
          port: api
          {{- if $tls }}
          scheme: HTTPS
          {{- end }}
        periodSeconds: 2
        failureThreshold: 150
      livenessProbe:
        httpGet:
          path: /healthz
          port: api
          {{- if $tls }}
          scheme: HTTPS
          {{- end }}
        periodSeconds: 10
        timeoutSeconds: 10
        failureThreshold: 6
      readinessProbe:
        httpGet:
          path: /readyz
          port: api
          {{- if $tls }}
          scheme: HTTPS
          {{- end }}
        periodSeconds: 5
        timeoutSeconds: 5
      {{- with $p.resources }}
      resources:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: [ALL]
      volumeMounts:
        - name: data
          mountPath: /data
        - name: tmp
          mountPath: /tmp
        {{- if $tls }}
        - name: tls
          mountPath: /pachd-tls-cert
          readOnly: true
        {{- end }}
        {{- if $postgres }}
        - name: key
          mountPath: /keys
          readOnly: true
        {{- end }}
        {{- if include "trunkline.databaseCA" . }}
        - name: postgres-ca
          mountPath: /postgres-ca
          readOnly: true
        {{- end }}
  volumes:
    - name: tmp
      emptyDir: {}
    {{- if not (include "trunkline.kept" .) }}
    - name: data
      emptyDir: {}
    {{- end }}
    {{- with $tls }}
    - name: tls
      secret:
        secretName: {{ . }}
        defaultMode: 0440
    {{- end }}
    {{- if $postgres }}
    - name: key
      secret:
        secretName: {{ include "trunkline.keySecret" . }}
        defaultMode: 0440
        items:
          - key: secrets.key
            path: secrets.key
    {{- end }}
    {{- with include "trunkline.databaseCA" . }}
    - name: postgres-ca
      secret:
        secretName: {{ . }}
        defaultMode: 0440
        items:
          - key: root.crt
            path: root.crt
    {{- end }}
{{- end -}}

{{- /* What pachd is told. */ -}}
{{- define "trunkline.env" -}}
{{- $p := .Values.pachd }}{{ $pg := .Values.global.postgresql -}}
- name: TRUNKLINE_DATA
  value: /data
- name: HOME
  value: /tmp
- name: TRUNKLINE_LISTEN
  value: "0.0.0.0:30650"
- name: TRUNKLINE_S3
  value: "0.0.0.0:30600"
- name: TRUNKLINE_INSECURE
  value: "true"
{{- if include "trunkline.tlsSecret" . }}
- name: TRUNKLINE_TLS_CERT
  value: /pachd-tls-cert/tls.crt
- name: TRUNKLINE_TLS_KEY
  value: /pachd-tls-cert/tls.key
- name: TRUNKLINE_PEER
  value: "0.0.0.0:30653"
{{- end }}
{{- with include "trunkline.trusted" . }}
- name: TRUSTED_AUTHORITIES
  valueFrom:
    secretKeyRef:
      name: {{ . }}
      key: ca.crt
      optional: true
- name: TRUSTED_CERTIFICATES
  valueFrom:
    secretKeyRef:
      name: {{ . }}
      key: tls.crt
      optional: true
- name: TRUNKLINE_TRUSTED
  value: "$(TRUSTED_AUTHORITIES)$(TRUSTED_CERTIFICATES)"
{{- end }}
- name: TRUNKLINE_LOG_LEVEL
  value: {{ $p.logLevel }}
- name: TRUNKLINE_FLEET
  value: kubernetes
- name: TRUNKLINE_NAMESPACE
  value: {{ .Release.Namespace }}
{{- if include "trunkline.local" . }}
- name: TRUNKLINE_STORAGE_CLAIM
  value: data-pachd-0
{{- else }}
- name: TRUNKLINE_STORAGE
  value: {{ include "trunkline.storageURL" . | quote }}
{{- end }}
{{- with include "trunkline.workerAccount" . }}
- name: TRUNKLINE_WORKER_ACCOUNT
  value: {{ . | quote }}
{{- end }}
- name: TRUNKLINE_WORKER_IMAGE
  value: {{ include "trunkline.workerImage" . | quote }}
- name: TRUNKLINE_WORKER_PULL_POLICY
  value: {{ default $p.image.pullPolicy $p.worker.image.pullPolicy }}
- name: TRUNKLINE_WORKER_PULL_SECRETS
  value: {{ include "trunkline.pullSecrets" . | quote }}
- name: TRUNKLINE_WORKER_ADDRESS
  {{- if include "trunkline.tlsSecret" . }}
  value: {{ default (printf "pachd-peer.%s.svc:30653" .Release.Namespace) $p.workerAddress | quote }}
  {{- else }}
  value: {{ default (printf "pachd.%s.svc:%d" .Release.Namespace (int $p.service.apiGRPCPort)) $p.workerAddress | quote }}
  {{- end }}
- name: TRUNKLINE_PIPELINE_REQUESTS
  value: {{ include "trunkline.requests" (dict "cpu" $p.defaultPipelineCPURequest "memory" $p.defaultPipelineMemoryRequest "disk" $p.defaultPipelineStorageRequest) | quote }}
- name: TRUNKLINE_SIDECAR_REQUESTS
  value: {{ include "trunkline.requests" (dict "cpu" $p.defaultSidecarCPURequest "memory" $p.defaultSidecarMemoryRequest "disk" $p.defaultSidecarStorageRequest) | quote }}
- name: TRUNKLINE_TRUST_PODS
  value: {{ $p.trustPods | quote }}
- name: TRUNKLINE_INDEX_CACHE_BYTES
  value: {{ include "trunkline.cache" (dict "bytes" $p.indexCacheBytes "chunks" $p.storage.diskCacheSize "otherwise" "2Gi") | quote }}
- name: TRUNKLINE_CACHE_BYTES
  value: {{ include "trunkline.cache" (dict "bytes" $p.cacheBytes "chunks" $p.storage.memoryCacheSize "otherwise" "64Mi") | quote }}
{{- if include "trunkline.postgres" . }}
- name: TRUNKLINE_SECRETS_KEY
  value: /keys/secrets.key
- name: TRUNKLINE_DATABASE
  valueFrom:
    secretKeyRef:
      name: postgres
      key: url
{{- if $pg.postgresqlExistingSecretName }}
- name: PGPASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ $pg.postgresqlExistingSecretName }}
      key: {{ $pg.postgresqlExistingSecretKey }}
{{- else if $pg.postgresqlPassword }}
- name: PGPASSWORD
  valueFrom:
    secretKeyRef:
      name: postgres
      key: postgresql-password
{{- end }}
{{- end }}
{{- if include "trunkline.databaseCA" . }}
- name: PGSSLROOTCERT
  value: /postgres-ca/root.crt
{{- end }}
{{- with .Values.global.proxy }}
{{- range $name := list "HTTP_PROXY" "HTTPS_PROXY" "http_proxy" "https_proxy" }}
- name: {{ $name }}
  value: {{ $.Values.global.proxy | quote }}
{{- end }}
{{- range $name := list "NO_PROXY" "no_proxy" }}
- name: {{ $name }}
  value: {{ include "trunkline.noProxy" $ | quote }}
{{- end }}
{{- end }}
{{- with $p.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}
