{{- define "sentiment-worker.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- /* 40 characters: a CronJob's jobs add 11 to it, and the components' names up to 12. */ -}}
{{- define "sentiment-worker.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "sentiment-worker.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "sentiment-worker.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "sentiment-worker.selector" -}}
app.kubernetes.io/name: {{ include "sentiment-worker.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{- define "sentiment-worker.labels" -}}
{{ include "sentiment-worker.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{- define "sentiment-worker.image" -}}
{{- $image := .root.Values.image -}}
{{- if and $image.digest (not .suffix) -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s%s" $image.repository (default .root.Chart.AppVersion $image.tag) (default "" .suffix) -}}
{{- end -}}
{{- end -}}

{{- define "sentiment-worker.databaseSecret" -}}
{{- if .Values.externalSecret.enabled -}}
{{- printf "%s-database" (include "sentiment-worker.fullname" .) -}}
{{- else -}}
{{- .Values.database.existingSecret -}}
{{- end -}}
{{- end -}}

{{- define "sentiment-worker.serviceAccount" -}}
{{- if eq .Values.aws.authMethod "iam" -}}
{{- default (include "sentiment-worker.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
default
{{- end -}}
{{- end -}}

{{- /* In Argo CD the schema is brought up to date in wave 1, between this and what needs it. */ -}}
{{- define "sentiment-worker.wave" -}}
{{- if eq .Values.migration.method "argocd" -}}
argocd.argoproj.io/sync-wave: "2"
{{- end -}}
{{- end -}}

{{- define "sentiment-worker.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end -}}

{{- /* What every container has of variables: where the database is, and how to reach AWS. */ -}}
{{- define "sentiment-worker.env" -}}
{{- $values := .root.Values -}}
{{- if $values.database.reference }}
- { name: DATABASE_URL, value: {{ $values.database.reference | quote }} }
{{- else }}
- { name: DATABASE_URL_FILE, value: /run/secrets/database/{{ $values.database.secretKey }} }
{{- end }}
- { name: LAMBDA_AUTH_METHOD, value: {{ $values.aws.authMethod }} }
{{- with $values.aws.region }}
- { name: AWS_REGION, value: {{ . | quote }} }
{{- end }}
{{- if eq $values.aws.authMethod "keys" }}
- { name: AWS_ACCESS_KEY_ID_FILE, value: /run/secrets/aws/access-key-id }
- { name: AWS_SECRET_ACCESS_KEY_FILE, value: /run/secrets/aws/secret-access-key }
{{- end }}
{{- end -}}

{{- /* A number of a file of values is a float: 1048576 would be written as 1.048576e+06. */ -}}
{{- define "sentiment-worker.plain" -}}
{{- if and (kindIs "float64" .) (eq . (floor .)) -}}
{{- int64 . -}}
{{- else -}}
{{- . -}}
{{- end -}}
{{- end -}}

{{- /* What a container that reads sources has besides. */ -}}
{{- define "sentiment-worker.workerEnv" -}}
{{- $values := .root.Values -}}
{{ include "sentiment-worker.env" . }}
- { name: SENTIMENT_CONFIG, value: /etc/sentiment-worker/sentiment-worker.toml }
- { name: LAMBDA_FUNCTION_NAME, value: {{ $values.function.name | quote }} }
{{- with $values.function.qualifier }}
- { name: LAMBDA_QUALIFIER, value: {{ . | quote }} }
{{- end }}
- { name: LAMBDA_TIMEOUT, value: {{ $values.function.timeout | quote }} }
{{- range $name, $value := $values.settings }}
- { name: {{ $name }}, value: {{ include "sentiment-worker.plain" $value | quote }} }
{{- end }}
{{- with $values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "sentiment-worker.mounts" -}}
- { name: tmp, mountPath: /tmp }
{{- if not .root.Values.database.reference }}
- { name: database, mountPath: /run/secrets/database, readOnly: true }
{{- end }}
{{- if eq .root.Values.aws.authMethod "keys" }}
- { name: aws, mountPath: /run/secrets/aws, readOnly: true }
{{- end }}
{{- end -}}

{{- define "sentiment-worker.workerMounts" -}}
{{ include "sentiment-worker.mounts" . }}
- { name: config, mountPath: /etc/sentiment-worker, readOnly: true }
{{- with .root.Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "sentiment-worker.volumes" -}}
- name: tmp
  emptyDir: { sizeLimit: 1Gi }
{{- if not .root.Values.database.reference }}
- name: database
  secret:
    secretName: {{ .databaseSecret }}
    defaultMode: 0440
    items: [{ key: {{ .root.Values.database.secretKey }}, path: {{ .root.Values.database.secretKey }} }]
{{- end }}
{{- if eq .root.Values.aws.authMethod "keys" }}
- name: aws
  secret: { secretName: {{ .root.Values.aws.keysSecret }}, defaultMode: 0440 }
{{- end }}
{{- end -}}

{{- define "sentiment-worker.workerVolumes" -}}
{{ include "sentiment-worker.volumes" . }}
- name: config
  configMap: { name: {{ include "sentiment-worker.fullname" .root }} }
{{- with .root.Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- /* Of every pod: who it is, where it may run, and that it may do nothing but its work. */ -}}
{{- define "sentiment-worker.pod" -}}
{{- $values := .root.Values -}}
serviceAccountName: {{ .serviceAccount }}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile: { type: RuntimeDefault }
{{- with $values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- /* A container that brings the schema up to date; several wait for each other in the database. */ -}}
{{- define "sentiment-worker.migrate" -}}
name: migrate
image: {{ include "sentiment-worker.image" . }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
args: [db, upgrade]
securityContext:
  {{- include "sentiment-worker.containerSecurity" . | nindent 2 }}
env:
  {{- include "sentiment-worker.env" . | nindent 2 }}
resources:
  requests: { cpu: 100m, memory: 128Mi }
  limits: { memory: 512Mi }
volumeMounts:
  {{- include "sentiment-worker.mounts" . | nindent 2 }}
{{- end -}}

{{- define "sentiment-worker.podMetadata" -}}
labels:
  {{- include "sentiment-worker.labels" . | nindent 2 }}
  {{- with .root.Values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  checksum/config: {{ .root.Values.config | sha256sum }}
  {{- with .root.Values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}
