{{/* The chart's name, for the label app.kubernetes.io/name. */}}
{{- define "envelope-secrets.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of the release's objects. 50 characters leave room for suffixes. */}}
{{- define "envelope-secrets.fullname" -}}
{{- $name := include "envelope-secrets.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Cluster-wide objects: releases of the same name in two namespaces must not share them. */}}
{{- define "envelope-secrets.clusterName" -}}
{{- printf "%s:%s" .Release.Namespace (include "envelope-secrets.fullname" .) -}}
{{- end -}}

{{- define "envelope-secrets.serviceAccountName" -}}
{{- default (include "envelope-secrets.fullname" .) .Values.serviceAccount.name -}}
{{- end -}}

{{/* The Secret with the keyring; empty if there is none. */}}
{{- define "envelope-secrets.keyringSecret" -}}
{{- if .Values.keyring.existingSecret -}}
{{- .Values.keyring.existingSecret -}}
{{- else if .Values.keyring.generate -}}
{{- printf "%s-keyring" (include "envelope-secrets.fullname" .) -}}
{{- end -}}
{{- end -}}

{{/* Never changes during the life of a release: a Deployment's selector is immutable. */}}
{{- define "envelope-secrets.selectorLabels" -}}
app.kubernetes.io/name: {{ include "envelope-secrets.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "envelope-secrets.chartLabels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "envelope-secrets.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: envelope-secrets
{{- end -}}

{{/* The labels of an object: the chart's and commonLabels. Merged, because a repeated key is an error; the chart's take precedence. */}}
{{- define "envelope-secrets.labels" -}}
{{- $labels := include "envelope-secrets.chartLabels" . | fromYaml -}}
{{- toYaml (merge $labels (default dict .Values.commonLabels)) -}}
{{- end -}}

{{/* The same, with more labels: a list of the root and a map. */}}
{{- define "envelope-secrets.labelsWith" -}}
{{- $labels := include "envelope-secrets.labels" (index . 0) | fromYaml -}}
{{- toYaml (merge $labels (default dict (index . 1))) -}}
{{- end -}}

{{- define "envelope-secrets.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* A list of a number or a percentage, of which 0 is one, and the default if it is empty or null. */}}
{{- define "envelope-secrets.numberOr" -}}
{{- $value := index . 0 -}}
{{- kindIs "invalid" $value | ternary "" (toString $value) | default (index . 1) -}}
{{- end -}}

{{/* The permissions that the controller needs in each namespace that it serves. */}}
{{- define "envelope-secrets.rules" -}}
# The documents.
- apiGroups: [envelope-secrets.io]
  resources: [envelopesecrets]
  verbs: [get, list, watch]
# Their status, by server-side apply.
- apiGroups: [envelope-secrets.io]
  resources: [envelopesecrets/status]
  verbs: [patch]
# The Secrets. The controller requests metadata only and never receives a value, but RBAC cannot express that. It deletes a
# Secret only to create it again with another type, which cannot be changed in place, and only if it is the only owner.
# Without `delete`, such an object reports ApiForbidden. The Secrets of deleted objects are left to the garbage collector.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch, create, patch, delete]
# Events about the documents; repeated ones are counted by a patch.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end -}}

{{/* What a pod needs to call the API server, as automountServiceAccountToken would mount it, but readable for the pod's group only. */}}
{{- define "envelope-secrets.tokenVolume" -}}
projected:
  defaultMode: 0400
  sources:
  - serviceAccountToken:
      path: token
      expirationSeconds: 3607
  - configMap:
      name: kube-root-ca.crt
      items:
      - key: ca.crt
        path: ca.crt
  - downwardAPI:
      items:
      - path: namespace
        fieldRef:
          fieldPath: metadata.namespace
{{- end -}}

{{/* Where the pods of hooks run and how they reach others, as the controller's. */}}
{{- define "envelope-secrets.hookPod" -}}
{{- range $field := list "imagePullSecrets" "priorityClassName" "nodeSelector" "tolerations" "affinity" "dnsPolicy" "dnsConfig" "hostAliases" }}
{{- with index $.Values $field }}
{{ dict $field . | toYaml }}
{{- end }}
{{- end }}
{{- with .Values.podSecurityContext }}
{{ dict "securityContext" . | toYaml }}
{{- end }}
{{- end -}}

{{/* The name of the metrics Service, which must begin with a letter, unlike other names. */}}
{{- define "envelope-secrets.serviceName" -}}
{{- $name := include "envelope-secrets.fullname" . -}}
{{- regexMatch "^[0-9]" $name | ternary (printf "metrics-%s" $name) (printf "%s-metrics" $name) -}}
{{- end -}}

{{- define "envelope-secrets.keyringHook" -}}
helm.sh/hook: pre-install,pre-upgrade
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end -}}

{{- define "envelope-secrets.keyringContainer" -}}
{{- with .Values.securityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
resources:
  requests: {cpu: 10m, memory: 16Mi}
  limits: {memory: 64Mi}
volumeMounts:
- name: keyring
  mountPath: /keyring
{{- end -}}

{{/* The flags of the KMS keys and their credentials, which the controller and the test of the release share. */}}
{{- define "envelope-secrets.providerArgs" -}}
{{- $keyring := include "envelope-secrets.keyringSecret" . -}}
{{- $credentials := .Values.tencent.credentials.existingSecret -}}
{{- $mode := .Values.tencent.credentials.mode -}}
{{- if $keyring }}
- {{ printf "--keyring=/etc/envelope-secrets/keyring/%s" .Values.keyring.key | quote }}
{{- end }}
{{- if and $credentials (eq $mode "file") }}
- --tencent-credentials=/etc/envelope-secrets/tencent
{{- end }}
{{- with .Values.tencent.roleArn }}
- {{ printf "--tencent-role-arn=%s" . | quote }}
{{- end }}
{{- with .Values.tencent.externalId }}
- {{ printf "--tencent-external-id=%s" . | quote }}
{{- end }}
{{- with .Values.tencent.site }}
- {{ printf "--tencent-site=%s" . | quote }}
{{- end }}
{{- with .Values.tencent.endpoint }}
- {{ printf "--tencent-endpoint=%s" . | quote }}
{{- end }}
{{- with .Values.tencent.stsEndpoint }}
- {{ printf "--tencent-sts-endpoint=%s" . | quote }}
{{- end }}
{{- with .Values.tencent.metadataEndpoint }}
- {{ printf "--tencent-metadata-endpoint=%s" . | quote }}
{{- end }}
{{- with .Values.tencent.timeout }}
- {{ printf "--tencent-timeout=%d" (int .) | quote }}
{{- end }}
{{- with .Values.tencent.connectTimeout }}
- {{ printf "--tencent-connect-timeout=%d" (int .) | quote }}
{{- end }}
{{- end -}}

{{/* The flags of KMS calls and memory. A number in a values file is a float64, which would print as 6.7108864e+07. */}}
{{- define "envelope-secrets.limitArgs" -}}
- --kms-qps={{ int .Values.kms.qps }}
{{- with .Values.kms.namespaceQps }}
- --kms-namespace-qps={{ int . }}
{{- end }}
- --data-key-cache-size={{ int .Values.dataKeyCache.size }}
- --data-key-cache-ttl={{ .Values.dataKeyCache.ttl }}
{{- $cache := .Values.documentCache }}
- --document-cache={{ kindIs "string" $cache | ternary $cache ($cache | int64) }}
{{- end -}}

{{- define "envelope-secrets.env" -}}
{{- $credentials := .Values.tencent.credentials.existingSecret -}}
{{- $mode := .Values.tencent.credentials.mode -}}
{{- if and $credentials (eq $mode "env") }}
{{- $variables := dict "TENCENTCLOUD_SECRET_ID" "secretId" "TENCENTCLOUD_SECRET_KEY" "secretKey" "TENCENTCLOUD_TOKEN" "token" }}
{{- range .Values.extraEnv }}
{{- if hasKey $variables .name }}
{{- fail (printf "extraEnv: %s is set from tencent.credentials.existingSecret, with tencent.credentials.mode=env" .name) }}
{{- end }}
{{- end }}
{{- range $variable, $entry := $variables }}
- name: {{ $variable }}
  valueFrom:
    secretKeyRef:
      name: {{ $credentials | quote }}
      key: {{ $entry }}
      {{- if eq $entry "token" }}
      optional: true
      {{- end }}
{{- end }}
{{- end }}
{{- with .Values.extraEnv }}
{{- toYaml . | nindent 0 }}
{{- end }}
{{- end -}}

{{/* The mounts of keys and credentials, and the volumes. */}}
{{- define "envelope-secrets.volumeMounts" -}}
{{- $keyring := include "envelope-secrets.keyringSecret" . -}}
{{- $credentials := .Values.tencent.credentials.existingSecret -}}
{{- $mode := .Values.tencent.credentials.mode -}}
{{- if $keyring }}
# The whole Secret: a single file (subPath) would never be updated.
- name: keyring
  mountPath: /etc/envelope-secrets/keyring
  readOnly: true
{{- end }}
{{- if and $credentials (eq $mode "file") }}
- name: tencent
  mountPath: /etc/envelope-secrets/tencent
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{- toYaml . | nindent 0 }}
{{- end }}
{{- end -}}

{{- define "envelope-secrets.volumes" -}}
{{- $keyring := include "envelope-secrets.keyringSecret" . -}}
{{- $credentials := .Values.tencent.credentials.existingSecret -}}
{{- $mode := .Values.tencent.credentials.mode -}}
{{- if $keyring }}
- name: keyring
  secret:
    secretName: {{ $keyring | quote }}
    defaultMode: 0400
    items:
    - key: {{ .Values.keyring.key | quote }}
      path: {{ .Values.keyring.key | quote }}
{{- end }}
{{- if and $credentials (eq $mode "file") }}
- name: tencent
  secret:
    secretName: {{ $credentials | quote }}
    defaultMode: 0400
{{- end }}
{{- with .Values.extraVolumes }}
{{- toYaml . | nindent 0 }}
{{- end }}
{{- end -}}
