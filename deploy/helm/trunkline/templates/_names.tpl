{{- /* Labels of every object; NAME is what an object belongs to. */ -}}
{{- define "trunkline.labels" -}}
app: {{ .name }}
suite: pachyderm
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
{{- end -}}

{{- /* By which pachd's pods are found. */ -}}
{{- define "trunkline.selector" -}}
app: pachd
suite: pachyderm
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "trunkline.registry" -}}
{{- with .Values.global.image.registry }}{{ trimSuffix "/" . }}/{{ end -}}
{{- end -}}

{{- define "trunkline.image" -}}
{{- include "trunkline.registry" . }}{{ .Values.pachd.image.repository }}:{{ default .Chart.AppVersion .Values.pachd.image.tag }}
{{- end -}}

{{- define "trunkline.workerImage" -}}
{{- $own := .Values.pachd.image }}{{ $worker := .Values.pachd.worker.image -}}
{{- include "trunkline.registry" . }}{{ default $own.repository $worker.repository }}:{{ default .Chart.AppVersion (default $own.tag $worker.tag) }}
{{- end -}}

{{- define "trunkline.account" -}}
{{- default "default" .Values.pachd.serviceAccount.name }}
{{- end -}}

{{- /* The account of workers; none where nobody asks for one. */ -}}
{{- define "trunkline.workerAccount" -}}
{{- $worker := .Values.pachd.worker.serviceAccount -}}
{{- if $worker.create }}{{ default "pachyderm-worker" $worker.name }}{{ else }}{{ $worker.name }}{{ end -}}
{{- end -}}

{{- /* "yes" where rows lie in PostgreSQL. */ -}}
{{- define "trunkline.postgres" -}}
{{- $pg := .Values.global.postgresql -}}
{{- if or $pg.url $pg.postgresqlHost }}yes{{ end -}}
{{- end -}}

{{- define "trunkline.databaseURL" -}}
{{- $pg := .Values.global.postgresql -}}
{{- if $pg.url }}{{ $pg.url }}{{ else -}}
postgresql://{{ urlquery $pg.postgresqlUsername }}@{{ $pg.postgresqlHost }}:{{ int $pg.postgresqlPort }}/{{ urlquery $pg.postgresqlDatabase }}?sslmode={{ $pg.postgresqlSSL }}
{{- end -}}
{{- end -}}

{{- define "trunkline.keySecret" -}}
{{- default "pachd-key" .Values.pachd.secretsKeySecretName }}
{{- end -}}

{{- /* The Secret with pachd's certificate; none where it speaks plaintext. */ -}}
{{- define "trunkline.tlsSecret" -}}
{{- $tls := .Values.pachd.tls }}{{ $proxy := .Values.proxy.tls -}}
{{- if or $tls.enabled $proxy.enabled -}}
{{- if not (or $tls.newSecret.create $tls.secretName $proxy.secretName) -}}
{{- fail "pachd.tls.enabled or proxy.tls.enabled is true, and there is no certificate: name a Secret with tls.crt and tls.key in pachd.tls.secretName, or have the chart make one with pachd.tls.newSecret" -}}
{{- end -}}
{{- default "pachd-tls" (default $proxy.secretName $tls.secretName) }}
{{- end -}}
{{- end -}}

{{- /* The Secret whose certificates pachd and workers trust besides those of their image; none where nobody asks. */ -}}
{{- define "trunkline.trusted" -}}
{{- if .Values.global.customCaCerts -}}
{{- $found := default .Values.proxy.tls.secretName .Values.pachd.tls.secretName -}}
{{- if not (or $found .Values.pachd.tls.newSecret.create) -}}
{{- fail "global.customCaCerts is true, and there is no Secret with certificates: name one in pachd.tls.secretName, or have the chart make one with pachd.tls.newSecret" -}}
{{- end -}}
{{- default "pachd-tls" $found }}
{{- end -}}
{{- end -}}

{{- define "trunkline.storageSecret" -}}
{{- default "pachyderm-storage-secret" .Values.pachd.storage.storageSecretName }}
{{- end -}}

{{- define "trunkline.backend" -}}
{{- $target := .Values.deployTarget -}}
{{- $backend := default $target .Values.pachd.storage.backend -}}
{{- $backend -}}
{{- end -}}

{{- /* "yes" where the bytes of files lie on pachd's own volume. */ -}}
{{- define "trunkline.local" -}}
{{- if and (eq (include "trunkline.backend" .) "LOCAL") (not .Values.pachd.storage.storageURL) -}}
{{- $count := int .Values.pachd.replicas -}}
{{- if gt $count 1 -}}
{{- fail (printf "pachd.replicas is %d, and with LOCAL the bytes of files lie on the volume of one pachd: name an object store in pachd.storage, or have one" $count) -}}
{{- end -}}
{{- if not .Values.global.securityContexts.enabled -}}
{{- fail "global.securityContexts.enabled is false, and with LOCAL workers have to be the user that pachd is: name an object store in pachd.storage" -}}
{{- end -}}
yes
{{- end -}}
{{- end -}}

{{- /* "yes" where pachd has a volume of its own. */ -}}
{{- define "trunkline.kept" -}}
{{- if or (include "trunkline.local" .) (not (include "trunkline.postgres" .)) }}yes{{ end -}}
{{- end -}}

{{- define "trunkline.storageURL" -}}
{{- $s := .Values.pachd.storage }}{{ $backend := include "trunkline.backend" . -}}
{{- if $s.storageURL }}{{ $s.storageURL -}}
{{- else if eq $backend "AMAZON" -}}
{{- $bucket := required "pachd.storage.amazon.bucket is missing: the bucket for the bytes of files" $s.amazon.bucket -}}
s3://{{ $bucket }}?region={{ default "us-east-1" $s.amazon.region }}{{ with $s.amazon.customEndpoint }}&endpoint={{ . }}{{ end -}}
{{- else if eq $backend "GOOGLE" -}}
gs://{{ required "pachd.storage.google.bucket is missing: the bucket for the bytes of files" $s.google.bucket }}
{{- else if eq $backend "MICROSOFT" -}}
{{- $container := required "pachd.storage.microsoft.container is missing: the container for the bytes of files" $s.microsoft.container -}}
az://{{ $container }}?account={{ required "pachd.storage.microsoft.id is missing: the storage account" $s.microsoft.id }}
{{- else if eq $backend "MINIO" -}}
{{- $bucket := required "pachd.storage.minio.bucket is missing: the bucket for the bytes of files" $s.minio.bucket -}}
{{- $endpoint := required "pachd.storage.minio.endpoint is missing: HOST:PORT of the server" $s.minio.endpoint -}}
s3://{{ $bucket }}?endpoint={{ if eq (toString $s.minio.secure) "true" }}https{{ else }}http{{ end }}://{{ $endpoint }}
{{- else -}}
{{- fail "it is not said where the bytes of files lie: set deployTarget and its part of pachd.storage, or pachd.storage.storageURL" -}}
{{- end -}}
{{- end -}}

{{- /* An amount, and what it is where none was said: 0 is one, and an empty text is none. */ -}}
{{- define "trunkline.amount" -}}
{{- $said := index . 0 -}}
{{- if or $said (eq (toString $said) "0") }}{{ $said }}{{ else }}{{ index . 1 }}{{ end -}}
{{- end -}}

{{- /* cpu=1,memory=256Mi,disk=1Gi, of what is said. */ -}}
{{- define "trunkline.requests" -}}
cpu={{ include "trunkline.amount" (list .cpu "1") }},memory={{ include "trunkline.amount" (list .memory "256Mi") }},disk={{ include "trunkline.amount" (list .disk "1Gi") }}
{{- end -}}

{{- define "trunkline.pullSecrets" -}}
{{- range $number, $one := .Values.global.imagePullSecrets }}{{ if $number }},{{ end }}{{ if kindIs "string" $one }}{{ $one }}{{ else }}{{ $one.name }}{{ end }}{{ end -}}
{{- end -}}

{{- /* What a cache may hold: as it is said, or by Pachyderm's count of chunks of 8 MiB, or what it is otherwise. */ -}}
{{- define "trunkline.cache" -}}
{{- if .bytes }}{{ .bytes }}{{ else if int .chunks }}{{ mul 8 (int .chunks) }}Mi{{ else }}{{ .otherwise }}{{ end -}}
{{- end -}}

{{- /* Hosts that are reached without the proxy: those that are said, this cluster's Services and its API. */ -}}
{{- define "trunkline.noProxy" -}}
{{- with .Values.global.noProxy }}{{ . }},{{ end -}}
localhost,127.0.0.1,.svc,.svc.cluster.local,$(KUBERNETES_SERVICE_HOST),$(PACHD_SERVICE_HOST),$(PACHD_PEER_SERVICE_HOST)
{{- end -}}

{{- /* The Secret with the certificate by which PostgreSQL's is checked, if there is one. */ -}}
{{- define "trunkline.databaseCA" -}}
{{- $pg := .Values.global.postgresql -}}
{{- if and (include "trunkline.postgres" .) (or $pg.postgresqlSSLSecret $pg.postgresqlSSLCACert) }}{{ default "postgres" $pg.postgresqlSSLSecret }}{{ end -}}
{{- end -}}
