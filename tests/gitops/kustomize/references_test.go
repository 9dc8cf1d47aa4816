package kustomize

import (
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"
)

const configuration = "../../../config/kustomize/namereference.yaml"

const header = `# Where Kubernetes' own kinds name a Secret. An EnvelopeSecret creates a Secret of its own name, so a rename of the
# EnvelopeSecret renames these references too. Derived from Kubernetes' Go types: to update it, move k8s.io/api in
# tests/gitops/kustomize/go.mod and run ` + "`UPDATE=1 go test ./...`" + ` there.
`

// What the types do not show: annotations, parameters of storage drivers, and RBAC. Except for those of CSI, kustomize has the same
// entries for Secrets.
var untyped = []place{
	{Group: "networking.k8s.io", Kind: "Ingress", Path: `metadata/annotations/ingress.kubernetes.io\/auth-secret`},
	{Group: "networking.k8s.io", Kind: "Ingress", Path: `metadata/annotations/nginx.ingress.kubernetes.io\/auth-secret`},
	{Group: "networking.k8s.io", Kind: "Ingress", Path: `metadata/annotations/nginx.ingress.kubernetes.io\/auth-tls-secret`},
	{Group: "rbac.authorization.k8s.io", Kind: "ClusterRole", Path: "rules/resourceNames"},
	{Group: "rbac.authorization.k8s.io", Kind: "Role", Path: "rules/resourceNames"},
	{Group: "storage.k8s.io", Kind: "StorageClass", Path: "parameters/adminSecretName"},
	{Group: "storage.k8s.io", Kind: "StorageClass", Path: `parameters/csi.storage.k8s.io\/controller-expand-secret-name`},
	{Group: "storage.k8s.io", Kind: "StorageClass", Path: `parameters/csi.storage.k8s.io\/controller-publish-secret-name`},
	{Group: "storage.k8s.io", Kind: "StorageClass", Path: `parameters/csi.storage.k8s.io\/node-expand-secret-name`},
	{Group: "storage.k8s.io", Kind: "StorageClass", Path: `parameters/csi.storage.k8s.io\/node-publish-secret-name`},
	{Group: "storage.k8s.io", Kind: "StorageClass", Path: `parameters/csi.storage.k8s.io\/node-stage-secret-name`},
	{Group: "storage.k8s.io", Kind: "StorageClass", Path: `parameters/csi.storage.k8s.io\/provisioner-secret-name`},
	{Group: "storage.k8s.io", Kind: "StorageClass", Path: "parameters/secretName"},
	{Group: "storage.k8s.io", Kind: "StorageClass", Path: "parameters/secretRef"},
	{Group: "storage.k8s.io", Kind: "StorageClass", Path: "parameters/userSecretName"},
}

type place struct {
	Group string `json:"group,omitempty"`
	Kind  string `json:"kind"`
	Path  string `json:"path"`
}

// TestConfigurationNamesEveryReference compares the shipped configuration with all kinds that client-go knows.
func TestConfigurationNamesEveryReference(t *testing.T) {
	places := slices.Clone(untyped)
	for kind, typ := range scheme.Scheme.AllKnownTypes() {
		if kind.Version == runtime.APIVersionInternal || strings.HasSuffix(kind.Kind, "List") {
			continue
		}
		for _, path := range references(typ, "", nil) {
			places = append(places, place{Group: kind.Group, Kind: kind.Kind, Path: path})
		}
	}
	// One entry for all versions of a kind; the extensions group was removed from Kubernetes in 1.22.
	places = slices.DeleteFunc(places, func(it place) bool { return it.Group == "extensions" })
	slices.SortFunc(places, func(a, b place) int {
		return strings.Compare(a.Group+" "+a.Kind+" "+a.Path, b.Group+" "+b.Kind+" "+b.Path)
	})
	places = slices.Compact(places)

	text := header + "nameReference:\n- group: envelope-secrets.io\n  kind: EnvelopeSecret\n  fieldSpecs:\n"
	for _, it := range places {
		line := fmt.Sprintf("  - {kind: %s, path: '%s'}\n", it.Kind, it.Path)
		if it.Group != "" {
			line = fmt.Sprintf("  - {group: %s, kind: %s, path: '%s'}\n", it.Group, it.Kind, it.Path)
		}
		text += line
	}
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(configuration, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	shipped, err := os.ReadFile(configuration)
	if err != nil {
		t.Fatal(err)
	}
	if string(shipped) != text {
		t.Errorf("%s is out of date; run `UPDATE=1 go test ./...`. Expected:\n%s", configuration, text)
	}
	var parsed struct {
		NameReference []struct{ FieldSpecs []place }
	}
	if err := yaml.UnmarshalStrict([]byte(strings.ReplaceAll(text, "group: envelope-secrets.io\n  kind: EnvelopeSecret\n  ", "")), &parsed); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(parsed.NameReference[0].FieldSpecs, places) {
		t.Error("the file does not read back as written")
	}
}

// references returns the paths, in kustomize's form, of all fields of a type that hold the name of a Secret.
func references(typ reflect.Type, path string, parents []reflect.Type) []string {
	for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
		typ = typ.Elem()
	}
	if typ.Kind() != reflect.Struct || slices.Contains(parents, typ) {
		return nil
	}
	switch typ {
	case reflect.TypeFor[corev1.SecretKeySelector](), reflect.TypeFor[corev1.SecretEnvSource](),
		reflect.TypeFor[corev1.SecretProjection](), reflect.TypeFor[corev1.SecretReference]():
		return []string{path + "/name"}
	}
	var found []string
	for field := range typ.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "status" || name == "metadata" || name == "-" {
			continue
		}
		at := strings.TrimPrefix(path+"/"+name, "/")
		if name == "" { // embedded
			at = path
		}
		of := field.Type
		for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
			of = of.Elem()
		}
		isSecret := strings.Contains(strings.ToLower(name), "secret")
		switch {
		case isSecret && of.Kind() == reflect.String:
			if strings.HasSuffix(name, "Name") {
				found = append(found, at)
			}
		case isSecret && (of == reflect.TypeFor[corev1.LocalObjectReference]() || of == reflect.TypeFor[corev1.ObjectReference]()):
			found = append(found, at+"/name")
		default:
			found = append(found, references(field.Type, at, append(slices.Clone(parents), typ))...)
		}
	}
	return found
}

// TestReferencesAreFound guards against a walk that finds nothing.
func TestReferencesAreFound(t *testing.T) {
	for _, it := range []struct {
		typ  reflect.Type
		path string
	}{
		{reflect.TypeFor[corev1.Pod](), "spec/containers/env/valueFrom/secretKeyRef/name"},
		{reflect.TypeFor[corev1.Pod](), "spec/volumes/projected/sources/secret/name"},
		{reflect.TypeFor[corev1.Pod](), "spec/volumes/csi/nodePublishSecretRef/name"},
		{reflect.TypeFor[appsv1.Deployment](), "spec/template/spec/imagePullSecrets/name"},
		{reflect.TypeFor[batchv1.CronJob](), "spec/jobTemplate/spec/template/spec/initContainers/envFrom/secretRef/name"},
		{reflect.TypeFor[corev1.ServiceAccount](), "secrets/name"},
		{reflect.TypeFor[corev1.ServiceAccount](), "imagePullSecrets/name"},
		{reflect.TypeFor[networkingv1.Ingress](), "spec/tls/secretName"},
		{reflect.TypeFor[corev1.PersistentVolume](), "spec/azureFile/secretName"},
		{reflect.TypeFor[corev1.PersistentVolume](), "spec/csi/controllerExpandSecretRef/name"},
	} {
		if found := references(it.typ, "", nil); !slices.Contains(found, it.path) {
			t.Errorf("%s of %v is missing in %q", it.path, it.typ, found)
		}
	}
}
