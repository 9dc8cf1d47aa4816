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

{{- define "envelope-secrets.selectorLabels" -}}
app.kubernetes.io/name: {{ include "envelope-secrets.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "envelope-secrets.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "envelope-secrets.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "envelope-secrets.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
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
