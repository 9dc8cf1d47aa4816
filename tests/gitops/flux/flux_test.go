package flux

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

const (
	ready   = `{.status.conditions[?(@.type=="Ready")].status}`
	message = `{.status.conditions[?(@.type=="Ready")].reason}: {.status.conditions[?(@.type=="Ready")].message}`
)

// source is a GitRepository, as the start of a stream of YAML documents. Its credentials are a Secret.
func source(namespace, url string) string {
	return fmt.Sprintf(`apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: app, namespace: %s}
spec:
  interval: 1s
  url: %s
  ref: {branch: main}
  secretRef: {name: git}
---
`, namespace, url)
}

// kustomizations are two layers: the sealed documents, and an application that needs them.
func kustomizations(namespace, url string) string {
	return source(namespace, url) + fmt.Sprintf(`apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: secrets, namespace: %[1]s}
spec:
  interval: 10m
  retryInterval: 2s
  timeout: 90s
  path: ./secrets
  prune: true
  wait: true
  sourceRef: {kind: GitRepository, name: app}
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: app, namespace: %[1]s}
spec:
  interval: 10m
  retryInterval: 2s
  path: ./app
  prune: true
  sourceRef: {kind: GitRepository, name: app}
  dependsOn: [{name: secrets}]
  postBuild: {substituteFrom: [{kind: Secret, name: settings}]}
`, namespace)
}

// release installs a chart from the repository, with values from a Secret.
func release(namespace, url string) string {
	return source(namespace, url) + fmt.Sprintf(`apiVersion: helm.toolkit.fluxcd.io/v2
kind: HelmRelease
metadata: {name: app, namespace: %s}
spec:
  interval: 10m
  chart: {spec: {chart: ./chart, sourceRef: {kind: GitRepository, name: app}}}
  valuesFrom: [{kind: Secret, name: values, valuesKey: values.yaml}]
  values: {database: {user: app}}
`, namespace)
}

// credentials creates the Secret for the repository from a sealed document: Flux's own credentials can be one too.
func credentials(t *testing.T, namespace, user, password string) {
	t.Helper()
	kubectl(t, seal(t, namespace, "git", map[string]string{"username": user, "password": password}), "apply", "--server-side", "-f", "-")
	kubectl(t, "", "wait", "-n", namespace, "--for=condition=Ready", "--timeout=60s", "envelopesecret/git")
}

func TestFlux(t *testing.T) {
	namespace := namespace(t)
	start(t, namespace, "kustomize-controller")
	repository := serve(t, "git", "planted-flux-git")
	credentials(t, namespace, "git", "planted-flux-git")

	db := seal(t, namespace, "db", map[string]string{"password": "planted-flux-1"})
	revision := repository.commit(map[string]string{
		"secrets/db.yaml":       db,
		"secrets/settings.yaml": seal(t, namespace, "settings", map[string]string{"host": "planted.example.com"}),
		"app/app.yaml":          "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: app, namespace: " + namespace + "}\ndata: {host: \"${host}\"}\n",
	})
	kubectl(t, kustomizations(namespace, repository.url), "apply", "--server-side", "-f", "-")

	t.Log("wait: true is over only when the Secrets exist")
	until(t, namespace, "kustomization/secrets", "{.status.lastAppliedRevision}", revision)
	if found := entry(t, namespace, "db", "password"); found != "planted-flux-1" {
		t.Fatalf("the Secret holds %q", found)
	}

	t.Log("dependsOn and substituteFrom work with a Secret that the controller created")
	until(t, namespace, "kustomization/app", "{.status.lastAppliedRevision}", revision)
	if found := kubectl(t, "", "get", "configmap", "-n", namespace, "app", "-o", "jsonpath={.data.host}"); found != "planted.example.com" {
		t.Fatalf("the ConfigMap holds %q", found)
	}

	t.Log("a reconciliation without a change changes nothing")
	version := func() string {
		return kubectl(t, "", "get", "envelopesecret,secret", "-n", namespace, "-o", "jsonpath={range .items[*]}{.metadata.name} {.metadata.resourceVersion}\n{end}")
	}
	before := version()
	kubectl(t, "", "annotate", "-n", namespace, "kustomization/secrets", "reconcile.fluxcd.io/requestedAt=again")
	until(t, namespace, "kustomization/secrets", "{.status.lastHandledReconcileAt}", "again")
	until(t, namespace, "kustomization/secrets", ready, "True")
	if after := version(); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}

	t.Log("a change propagates")
	revision = repository.commit(map[string]string{"secrets/db.yaml": seal(t, namespace, "db", map[string]string{"password": "planted-flux-2", "user": "app"})})
	until(t, namespace, "kustomization/secrets", "{.status.lastAppliedRevision}", revision)
	if found := entry(t, namespace, "db", "password") + entry(t, namespace, "db", "user"); found != "planted-flux-2app" {
		t.Fatalf("the Secret holds %q", found)
	}

	t.Log("a document that does not open is reported in the Kustomization, and changes no Secret")
	broken := strings.Replace(db, "name: db", "name: copied", 1)
	repository.commit(map[string]string{"secrets/copied.yaml": broken})
	reported := until(t, namespace, "kustomization/secrets", message, "copied")
	if !strings.HasPrefix(reported, "HealthCheckFailed") || !strings.Contains(reported, "EnvelopeSecret/"+namespace+"/copied") || !strings.Contains(reported, "Failed") {
		t.Errorf("reported: %s", reported)
	}
	t.Log(reported)
	if found := entry(t, namespace, "db", "password"); found != "planted-flux-2" {
		t.Errorf("the Secret holds %q", found)
	}

	t.Log("a malformed document is refused by the API server, which Flux reports too")
	repository.commit(map[string]string{"secrets/copied.yaml": strings.Replace(broken, "format: es1", "format: es9", 1)})
	reported = until(t, namespace, "kustomization/secrets", message, "es9")
	t.Log(reported)

	t.Log("a removed document is pruned, and its Secret with it")
	revision = repository.commit(map[string]string{"secrets/copied.yaml": "", "secrets/db.yaml": ""})
	until(t, namespace, "kustomization/secrets", "{.status.lastAppliedRevision}", revision)
	kubectl(t, "", "wait", "-n", namespace, "--for=delete", "--timeout=60s", "envelopesecret/db", "envelopesecret/copied", "secret/db")
	if found := entry(t, namespace, "settings", "host"); found != "planted.example.com" {
		t.Errorf("another Secret holds %q", found)
	}
}

// TestHelmRelease installs a chart with helm-controller, with `valuesFrom` a Secret that the controller creates.
func TestHelmRelease(t *testing.T) {
	namespace := namespace(t)
	start(t, namespace, "helm-controller")
	repository := serve(t, "git", "planted-flux-git")
	credentials(t, namespace, "git", "planted-flux-git")
	repository.commit(map[string]string{
		"chart/Chart.yaml":  "apiVersion: v2\nname: app\nversion: 1.0.0\n",
		"chart/values.yaml": "database: {user: none, password: none}\n",
		"chart/templates/app.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}}\n" +
			"data: {login: {{ printf \"%s/%s\" .Values.database.user .Values.database.password | quote }}}\n",
	})
	kubectl(t, release(namespace, repository.url), "apply", "--server-side", "-f", "-")
	apply := func(password string) {
		// The label makes helm-controller watch the Secret.
		values := map[string]string{"values.yaml": "database:\n  password: '" + password + "'\n"}
		kubectl(t, seal(t, namespace, "values", values, "reconcile.fluxcd.io/watch: Enabled"), "apply", "--server-side", "-f", "-")
	}
	const login = "{.data.login}"

	t.Log("without the Secret, nothing is installed")
	until(t, namespace, "helmrelease/app", message, "ValuesError")

	t.Log("the release becomes ready when the Secret exists, with the values merged")
	apply(`planted: "flux" #1`)
	until(t, namespace, "helmrelease/app", ready, "True")
	if found := kubectl(t, "", "get", "configmap", "-n", namespace, "app", "-o", "jsonpath="+login); found != `app/planted: "flux" #1` {
		t.Fatalf("the ConfigMap holds %q", found)
	}

	t.Log("a changed document propagates long before the interval ends")
	apply("planted-flux-2")
	until(t, namespace, "configmap/app", login, "app/planted-flux-2")
	until(t, namespace, "helmrelease/app", ready, "True")

	t.Log("a document that is sealed again with the same value, and a reconciliation, upgrade nothing")
	const revision = "{.status.history[0].version}"
	before := until(t, namespace, "helmrelease/app", revision, "2")
	apply("planted-flux-2")
	kubectl(t, "", "wait", "-n", namespace, "--for=condition=Ready", "--timeout=60s", "envelopesecret/values")
	kubectl(t, "", "annotate", "-n", namespace, "helmrelease/app", "reconcile.fluxcd.io/requestedAt=again")
	until(t, namespace, "helmrelease/app", "{.status.lastHandledReconcileAt}", "again")
	until(t, namespace, "helmrelease/app", ready, "True")
	if after := kubectl(t, "", "get", "-n", namespace, "helmrelease/app", "-o", "jsonpath="+revision); after != before {
		t.Errorf("revision %s became %s", before, after)
	}
}

// TestHelmValues passes `values.yaml` of a Secret that the controller created to Helm 4. helm-controller contains Helm 3.
func TestHelmValues(t *testing.T) {
	namespace := namespace(t)
	directory := t.TempDir()
	sealed := seal(t, namespace, "values", map[string]string{"values.yaml": "database:\n  password: 'planted: \"flux\" #3'\n"})
	kubectl(t, sealed, "apply", "--server-side", "-f", "-")
	kubectl(t, "", "wait", "-n", namespace, "--for=condition=Ready", "--timeout=60s", "envelopesecret/values")

	write(t, filepath.Join(directory, "from-secret.yaml"), entry(t, namespace, "values", "values.yaml"))
	write(t, filepath.Join(directory, "chart/Chart.yaml"), "apiVersion: v2\nname: app\nversion: 1.0.0\n")
	write(t, filepath.Join(directory, "chart/templates/app.yaml"),
		"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: app}\ndata: {password: {{ .Values.database.password | quote }}}\n")
	rendered := output(t, directory, "", needed(t, "HELM"), "template", "app", "chart", "-f", "from-secret.yaml")
	if !strings.Contains(rendered, `{password: "planted: \"flux\" #3"}`) {
		t.Errorf("%s", rendered)
	}
}
