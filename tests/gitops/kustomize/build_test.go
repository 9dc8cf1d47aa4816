package kustomize

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// needed returns a variable that `cargo xtask test gitops` sets: the path of a program.
func needed(t *testing.T, name string) string {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		t.Fatalf("%s is not set: run this test with `cargo xtask test gitops`", name)
	}
	return value
}

func command(t *testing.T, program string, arguments ...string) (string, error) {
	t.Helper()
	output, err := exec.Command(program, arguments...).CombinedOutput()
	return string(output), err
}

type object = map[string]any

// write writes files below a new directory, with the shipped component in config/kustomize, and returns the directory.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	directory := t.TempDir()
	component := filepath.Join(directory, "config/kustomize")
	if err := os.CopyFS(component, os.DirFS("../../../config/kustomize")); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		path := filepath.Join(directory, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return directory
}

// build renders a directory with the library that Flux uses and with kubectl, whose results must agree.
func build(t *testing.T, directory string) string {
	t.Helper()
	rendered, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), directory)
	if err != nil {
		t.Fatal(err)
	}
	text, err := rendered.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	other, err := command(t, needed(t, "KUBECTL"), "kustomize", directory)
	if err != nil {
		t.Fatalf("kubectl kustomize: %v\n%s", err, other)
	}
	if !reflect.DeepEqual(objects(t, other), objects(t, string(text))) { // kubectl sorts them by kind
		t.Fatalf("kubectl and kustomize's library disagree:\n%s\n---\n%s", other, text)
	}
	return string(text)
}

func objects(t *testing.T, text string) map[string]object {
	t.Helper()
	found := map[string]object{}
	for document := range strings.SplitSeq(text, "\n---\n") {
		var it object
		if err := yaml.Unmarshal([]byte(document), &it); err != nil {
			t.Fatal(err)
		}
		metadata := it["metadata"].(object)
		key := it["kind"].(string) + " " + metadata["name"].(string)
		if namespace, ok := metadata["namespace"]; ok {
			key += " in " + namespace.(string)
		}
		found[key] = it
	}
	return found
}

// The parts of a document that kustomize looks at. Its other fields are not kustomize's business.
const document = `apiVersion: envelope-secrets.io/v1
kind: EnvelopeSecret
metadata:
  name: db
  namespace: prod
spec:
  template: {data: {host: db}}
`

// Every reference names `db`, except those that must not change.
const users = `apiVersion: apps/v1
kind: Deployment
metadata: {name: app, namespace: prod}
spec:
  template:
    spec:
      imagePullSecrets: [{name: db}, {name: unrelated}]
      initContainers:
      - name: init
        env:
        - {name: A, valueFrom: {secretKeyRef: {name: db, key: host}}}
        envFrom: [{secretRef: {name: db}}]
      containers:
      - name: main
        env:
        - {name: A, valueFrom: {secretKeyRef: {name: db, key: host}}}
        - {name: B, valueFrom: {configMapKeyRef: {name: db, key: host}}}
        envFrom: [{secretRef: {name: db}}, {secretRef: {name: unrelated}}]
      volumes:
      - {name: a, secret: {secretName: db}}
      - {name: b, projected: {sources: [{secret: {name: db}}, {secret: {name: unrelated}}]}}
      - {name: c, csi: {driver: example.com, nodePublishSecretRef: {name: db}}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: app, namespace: prod}
imagePullSecrets: [{name: db}]
secrets: [{name: db}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: app
  namespace: prod
  annotations: {nginx.ingress.kubernetes.io/auth-secret: db}
spec:
  tls: [{secretName: db}, {secretName: unrelated}]
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: app, namespace: prod}
spec:
  jobTemplate:
    spec:
      template:
        spec:
          containers:
          - {name: main, envFrom: [{secretRef: {name: db}}]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: app, namespace: prod}
rules: [{apiGroups: [""], resources: [secrets], resourceNames: [db], verbs: [get]}]
---
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: app}
provisioner: example.com
parameters: {csi.storage.k8s.io/node-stage-secret-name: db}
`

// references in users, and how many of them follow a rename.
const following = 15

const base = "resources: [db.yaml, users.yaml]\n"

func overlay(more string) map[string]string {
	return map[string]string{
		"base/db.yaml":            document,
		"base/users.yaml":         users,
		"base/kustomization.yaml": base,
		"top/kustomization.yaml":  "resources: [../base]\ncomponents: [../config/kustomize]\n" + more,
	}
}

// counts returns how often each string occurs as a value.
func counts(value any, into map[string]int) map[string]int {
	switch it := value.(type) {
	case object:
		for key, value := range it {
			if key != "metadata" {
				counts(value, into)
			} else if annotations, ok := value.(object)["annotations"]; ok {
				counts(annotations, into)
			}
		}
	case []any:
		for _, value := range it {
			counts(value, into)
		}
	case string:
		into[it]++
	}
	return into
}

func TestReferencesFollowTheName(t *testing.T) {
	for name, it := range map[string]struct{ more, name string }{
		"prefix":            {"namePrefix: stage-\n", "stage-db"},
		"suffix":            {"nameSuffix: -v2\n", "db-v2"},
		"prefix and suffix": {"namePrefix: stage-\nnameSuffix: -v2\n", "stage-db-v2"},
		"patch": {`patches: [{target: {kind: EnvelopeSecret}, options: {allowNameChange: true},
  patch: '[{"op": "replace", "path": "/metadata/name", "value": "renamed"}]'}]
`, "renamed"},
		"replacement of a namespace": {"namespace: other\nnamePrefix: stage-\n", "stage-db"},
	} {
		t.Run(name, func(t *testing.T) {
			found := objects(t, build(t, filepath.Join(write(t, overlay(it.more)), "top")))
			names := map[string]int{}
			for key, value := range found {
				if strings.HasPrefix(key, "EnvelopeSecret ") {
					continue
				}
				counts(value, names)
			}
			// The reference to a ConfigMap keeps its name: no such ConfigMap is in the build.
			if names[it.name] != following || names["db"] != 1 || names["unrelated"] != 4 {
				t.Errorf("%d references to %s, %d to db, %d to unrelated in %v", names[it.name], it.name, names["db"], names["unrelated"], names)
			}
		})
	}
}

// A guard for the test above, and the reason for the component.
func TestReferencesKeepTheOldNameWithoutTheComponent(t *testing.T) {
	files := overlay("namePrefix: stage-\n")
	files["top/kustomization.yaml"] = "resources: [../base]\nnamePrefix: stage-\n"
	names := map[string]int{}
	for _, value := range objects(t, build(t, filepath.Join(write(t, files), "top"))) {
		counts(value, names)
	}
	if names["stage-db"] != 0 || names["db"] != following+2 {
		t.Errorf("%v", names)
	}
}

func TestComponentWorksInTheBaseAndThroughSeveralLayers(t *testing.T) {
	files := overlay("")
	files["base/kustomization.yaml"] = base + "components: [../config/kustomize]\nnamePrefix: a-\n"
	files["middle/kustomization.yaml"] = "resources: [../base]\nnamePrefix: b-\n"
	files["top/kustomization.yaml"] = "resources: [../middle]\nnameSuffix: -c\n"
	names := map[string]int{}
	found := objects(t, build(t, filepath.Join(write(t, files), "top")))
	for _, value := range found {
		counts(value, names)
	}
	if names["b-a-db-c"] != following || found["EnvelopeSecret b-a-db-c in prod"] == nil {
		t.Errorf("%v", found)
	}
}

func TestConfigurationCanBeListedWithoutTheComponent(t *testing.T) {
	files := overlay("")
	file, err := os.ReadFile(configuration)
	if err != nil {
		t.Fatal(err)
	}
	files["top/namereference.yaml"] = string(file)
	files["top/kustomization.yaml"] = "resources: [../base]\nnamePrefix: stage-\nconfigurations: [namereference.yaml]\n"
	names := map[string]int{}
	for _, value := range objects(t, build(t, filepath.Join(write(t, files), "top"))) {
		counts(value, names)
	}
	if names["stage-db"] != following {
		t.Errorf("%v", names)
	}
}

// A reference follows the document of its own namespace, and generated Secrets keep working beside the component.
func TestOtherSecretsAndNamespacesAreNotMixedUp(t *testing.T) {
	user := func(namespace, secret string) string {
		return "apiVersion: v1\nkind: Pod\nmetadata: {name: app, namespace: " + namespace + "}\nspec:\n  containers:\n  - {name: main, envFrom: [{secretRef: {name: " +
			secret + "}}, {secretRef: {name: generated}}]}\n"
	}
	files := map[string]string{}
	for _, namespace := range []string{"one", "two"} {
		files[namespace+"/db.yaml"] = strings.Replace(document, "prod", namespace, 1)
		files[namespace+"/pod.yaml"] = user(namespace, "db")
		files[namespace+"/kustomization.yaml"] = "resources: [db.yaml, pod.yaml]\nnamePrefix: " + namespace + "-\nnamespace: " + namespace +
			"\ncomponents: [../config/kustomize]\nsecretGenerator: [{name: generated, literals: [a=b]}]\n"
	}
	files["top/kustomization.yaml"] = "resources: [../one, ../two]\n"
	found := objects(t, build(t, filepath.Join(write(t, files), "top")))
	for _, namespace := range []string{"one", "two"} {
		names := counts(found["Pod "+namespace+"-app in "+namespace], map[string]int{})
		generated := ""
		for key := range found {
			if rest, ok := strings.CutPrefix(key, "Secret "); ok && strings.HasSuffix(key, " in "+namespace) {
				generated = strings.TrimSuffix(rest, " in "+namespace)
			}
		}
		if names[namespace+"-db"] != 1 || generated == "" || names[generated] != 1 {
			t.Errorf("%s: %v, generated %q", namespace, names, generated)
		}
	}
}
