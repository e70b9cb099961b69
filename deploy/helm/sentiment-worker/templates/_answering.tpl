{{- /* The page, or the assistants' service: what answers over HTTP with the analyst's rights.
       Takes root, component, said (its values), port and command. */ -}}
{{- define "sentiment-worker.answering" -}}
{{- $said := .said -}}
{{- $secret := default (include "sentiment-worker.databaseSecret" .root) $said.databaseSecret -}}
{{- $account := include "sentiment-worker.serviceAccount" .root -}}
{{- $about := dict "root" .root "component" .component "suffix" "-page" "databaseSecret" $secret "serviceAccount" $account -}}
{{- $name := printf "%s-%s" (include "sentiment-worker.fullname" .root) .component }}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ $name }}
  labels:
    {{- include "sentiment-worker.labels" $about | nindent 4 }}
  annotations:
    {{- include "sentiment-worker.wave" .root | nindent 4 }}
spec:
  replicas: {{ $said.replicas }}
  selector:
    matchLabels:
      {{- include "sentiment-worker.selector" $about | nindent 6 }}
  template:
    metadata:
      {{- include "sentiment-worker.podMetadata" $about | nindent 6 }}
    spec:
      {{- include "sentiment-worker.pod" $about | nindent 6 }}
      containers:
        - name: {{ .component }}
          image: {{ include "sentiment-worker.image" $about }}
          imagePullPolicy: {{ .root.Values.image.pullPolicy }}
          args:
            {{- toYaml .command | nindent 12 }}
            {{- range concat $said.hosts (list $name (printf "%s.%s" $name .root.Release.Namespace) (printf "%s.%s.svc" $name .root.Release.Namespace)) }}
            - --host={{ . }}
            {{- end }}
          securityContext:
            {{- include "sentiment-worker.containerSecurity" . | nindent 12 }}
          env:
            {{- include "sentiment-worker.env" $about | nindent 12 }}
            {{- if $said.tokenSecret }}
            - { name: SENTIMENT_DASHBOARD_TOKEN_FILE, value: /run/secrets/token/{{ $said.tokenKey }} }
            {{- end }}
            {{- with $said.userHeader }}
            - { name: SENTIMENT_DASHBOARD_USER_HEADER, value: {{ . | quote }} }
            {{- end }}
          ports:
            - { name: http, containerPort: {{ .port }} }
          startupProbe:
            httpGet: { path: /livez, port: http }
            periodSeconds: 5
            failureThreshold: 60
          livenessProbe:
            httpGet: { path: /livez, port: http }
            periodSeconds: 30
          readinessProbe:
            httpGet: { path: /livez, port: http }
            periodSeconds: 10
          resources:
            {{- toYaml $said.resources | nindent 12 }}
          volumeMounts:
            {{- include "sentiment-worker.mounts" $about | nindent 12 }}
            {{- if $said.tokenSecret }}
            - { name: token, mountPath: /run/secrets/token, readOnly: true }
            {{- end }}
      volumes:
        {{- include "sentiment-worker.volumes" $about | nindent 8 }}
        {{- if $said.tokenSecret }}
        - name: token
          secret:
            secretName: {{ $said.tokenSecret }}
            defaultMode: 0440
            items: [{ key: {{ $said.tokenKey }}, path: {{ $said.tokenKey }} }]
        {{- end }}
---
apiVersion: v1
kind: Service
metadata:
  name: {{ $name }}
  labels:
    {{- include "sentiment-worker.labels" $about | nindent 4 }}
spec:
  selector:
    {{- include "sentiment-worker.selector" $about | nindent 4 }}
  ports:
    - { name: http, port: 80, targetPort: http }
{{- if $said.ingress.enabled }}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {{ $name }}
  labels:
    {{- include "sentiment-worker.labels" $about | nindent 4 }}
  annotations:
    {{- toYaml $said.ingress.annotations | nindent 4 }}
spec:
  {{- with $said.ingress.className }}
  ingressClassName: {{ . }}
  {{- end }}
  {{- with $said.ingress.tlsSecret }}
  tls:
    - secretName: {{ . }}
      hosts:
        {{- toYaml $said.hosts | nindent 8 }}
  {{- end }}
  rules:
    {{- range $said.hosts }}
    - host: {{ . | quote }}
      http:
        paths:
          - path: /
            pathType: Prefix
            backend: { service: { name: {{ $name }}, port: { name: http } } }
    {{- end }}
{{- end }}
{{- end -}}
