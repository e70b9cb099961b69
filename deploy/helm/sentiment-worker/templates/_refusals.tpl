{{- define "sentiment-worker.refusals" -}}
{{- /* What would start and not work, or work and not be what was meant, is refused here. */ -}}
{{- $v := .Values -}}
{{- $ways := 0 -}}
{{- range list $v.database.existingSecret $v.database.reference $v.externalSecret.enabled -}}
{{- if . }}{{ $ways = add1 $ways }}{{ end -}}
{{- end -}}
{{- if ne (int $ways) 1 -}}
{{- fail "Say where DATABASE_URL is, in one way: database.existingSecret, database.reference or externalSecret.enabled." -}}
{{- end -}}
{{- if and $v.externalSecret.enabled (or (not $v.externalSecret.storeName) (not $v.externalSecret.remoteKey)) -}}
{{- fail "externalSecret needs storeName and remoteKey." -}}
{{- end -}}
{{- if not $v.config -}}
{{- fail "config is empty: pass the file with your [[source]] blocks, --set-file config=sentiment-worker.toml." -}}
{{- end -}}
{{- if not $v.function.name -}}
{{- fail "function.name is empty: the ARN of the function's alias, or `local` for the image's own model." -}}
{{- end -}}
{{- if and (eq $v.aws.authMethod "keys") (not $v.aws.keysSecret) -}}
{{- fail "aws.authMethod is keys, and aws.keysSecret names no Secret." -}}
{{- end -}}
{{- if and (eq $v.aws.authMethod "keys") (or $v.aws.roleArn $v.serviceAccount.name $v.serviceAccount.annotations) -}}
{{- fail "aws.authMethod is keys: there is no ServiceAccount, and aws.roleArn would not be used." -}}
{{- end -}}
{{- if and (eq $v.aws.authMethod "iam") $v.aws.keysSecret -}}
{{- fail "aws.keysSecret is for aws.authMethod: keys; with iam the keys would not be used." -}}
{{- end -}}
{{- if and $v.aws.roleArn (ne $v.aws.identity "irsa") -}}
{{- fail "aws.roleArn is for aws.identity: irsa." -}}
{{- end -}}
{{- if and (not $v.serviceAccount.create) (not $v.serviceAccount.name) (eq $v.aws.authMethod "iam") -}}
{{- fail "serviceAccount.create is false, and serviceAccount.name names none." -}}
{{- end -}}
{{- if and (not $v.serviceAccount.create) (or $v.aws.roleArn $v.serviceAccount.annotations) -}}
{{- fail "serviceAccount.create is false: aws.roleArn and serviceAccount.annotations belong to the account that is there." -}}
{{- end -}}
{{- if and $v.serviceAccount.create (eq $v.aws.authMethod "iam") (eq $v.aws.identity "irsa") (not $v.aws.roleArn) (ne $v.function.name "local") -}}
{{- fail "aws.identity is irsa, and aws.roleArn is empty. With EKS Pod Identity say aws.identity: pod-identity; with the node's role, node." -}}
{{- end -}}
{{- if and (eq $v.migration.method "hook") (or $v.externalSecret.enabled $v.database.reference) -}}
{{- fail "migration.method hook runs before the ExternalSecret or the ServiceAccount exists: use init, argocd, or database.existingSecret." -}}
{{- end -}}
{{- if eq $v.mode "cron" -}}
{{- if $v.keda.enabled -}}
{{- fail "keda scales workers that stay: mode serve." -}}
{{- end -}}
{{- if gt (int $v.serve.replicas) 1 -}}
{{- fail "serve.replicas is for mode serve: one job runs at a time." -}}
{{- end -}}
{{- if $v.metrics.serviceMonitor.enabled -}}
{{- fail "metrics.serviceMonitor is for mode serve: a job ends before it is scraped." -}}
{{- end -}}
{{- end -}}
{{- if $v.keda.enabled -}}
{{- if $v.database.reference -}}
{{- fail "keda reads the database itself, and needs its URL in a Secret." -}}
{{- end -}}
{{- if gt (int $v.keda.minReplicas) (int $v.keda.maxReplicas) -}}
{{- fail "keda.minReplicas is larger than keda.maxReplicas." -}}
{{- end -}}
{{- end -}}
{{- range $name := list "page" "mcp" -}}
{{- $said := get $v $name -}}
{{- if $said.enabled -}}
{{- if not (or $said.tokenSecret $said.userHeader) -}}
{{- fail (printf "Anybody could read every record: name %s.tokenSecret, or %s.userHeader behind a proxy that authenticates." $name $name) -}}
{{- end -}}
{{- if and $said.userHeader (or (not $v.networkPolicy.enabled) (not $said.allowedFrom)) -}}
{{- fail (printf "Whoever can set %s.userHeader gets in: let the proxy alone reach it, with networkPolicy.enabled and %s.allowedFrom." $name $name) -}}
{{- end -}}
{{- if and $said.ingress.enabled (not $said.hosts) -}}
{{- fail (printf "%s.ingress needs %s.hosts." $name $name) -}}
{{- end -}}
{{- if and $said.databaseSecret $v.database.reference -}}
{{- fail (printf "%s.databaseSecret is in place of a Secret, and database.reference names none." $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
