package argocd

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/argoproj/argo-cd/gitops-engine/pkg/diff"
	"github.com/argoproj/argo-cd/gitops-engine/pkg/health"
	yamlv3 "go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	trackingID    = "argocd.argoproj.io/tracking-id"
	trackingLabel = "app.kubernetes.io/instance"
)

// tracked adds what Argo CD adds to every object that it applies, by either method.
func tracked(object *unstructured.Unstructured) *unstructured.Unstructured {
	object = object.DeepCopy()
	annotations := object.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[trackingID] = "app:envelope-secrets.io/EnvelopeSecret:" + object.GetNamespace() + "/" + object.GetName()
	annotations["argocd.argoproj.io/sync-wave"] = "-1"
	object.SetAnnotations(annotations)
	object.SetLabels(map[string]string{trackingLabel: "app"})
	return object
}

// dryRunner is the API server, as Argo CD calls it for a server-side diff.
type dryRunner struct{ t *testing.T }

func (it dryRunner) Run(_ context.Context, object *unstructured.Unstructured, manager string) (string, error) {
	return kubectl(it.t, text(it.t, object), "apply", "--server-side", "--force-conflicts", "--dry-run=server", "--field-manager="+manager, "-o", "json",
		"--show-managed-fields", "-f", "-"), nil
}

// modified compares with Argo CD's code: by server-side diff, and by its default, the three-way diff.
func modified(t *testing.T, config *unstructured.Unstructured) (bool, bool) {
	t.Helper()
	server, err := diff.Diff(config.DeepCopy(), live(t, config), diff.WithServerSideDiff(true), diff.WithServerSideDryRunner(dryRunner{t}),
		diff.WithManager("argocd-controller"), diff.WithIgnoreMutationWebhook(false))
	if err != nil {
		t.Fatal(err)
	}
	client, err := diff.Diff(config.DeepCopy(), live(t, config))
	if err != nil {
		t.Fatal(err)
	}
	return server.Modified, client.Modified
}

func TestReconciledDocumentIsInSync(t *testing.T) {
	for name, apply := range map[string][]string{
		"server-side": {"apply", "--server-side", "--field-manager=argocd-controller", "-f", "-"},
		"client-side": {"apply", "-f", "-"},
	} {
		t.Run(name, func(t *testing.T) {
			namespace := namespace(t)
			config := tracked(seal(t, namespace, "db", "planted-argocd-1"))
			kubectl(t, text(t, config), apply...)
			wait(t, config, "Ready")
			// The controller has written a status; the API server has set defaults.
			if live(t, config).Object["status"] == nil {
				t.Fatal("no status")
			}
			if server, client := modified(t, config); server || client {
				t.Errorf("out of sync: server-side diff %v, three-way diff %v", server, client)
			}
			// A guard: a re-sealed document is a difference.
			if server, client := modified(t, tracked(seal(t, namespace, "db", "planted-argocd-2"))); !server || !client {
				t.Errorf("a change is not seen: server-side diff %v, three-way diff %v", server, client)
			}
		})
	}
}

// Another tool applies the same document after the controller has reconciled it: nothing changes, status included.
func TestDryRunOfAnotherManagerChangesNothing(t *testing.T) {
	config := seal(t, namespace(t), "db", "planted-argocd-3")
	applied(t, config, "Ready")
	before := live(t, config)
	after := parse(t, kubectl(t, text(t, config), "apply", "--server-side", "--dry-run=server", "--field-manager=other", "-o", "json", "-f", "-"))
	for _, it := range []*unstructured.Unstructured{before, after} {
		it.SetManagedFields(nil)
		it.SetResourceVersion("") // a new manager is a change of managedFields
	}
	if text(t, before) != text(t, after) {
		t.Errorf("%s\n%s", text(t, before), text(t, after))
	}
	output := kubectl(t, text(t, config), "diff", "--server-side", "--field-manager=argocd-controller", "-f", "-")
	if output != "" {
		t.Errorf("kubectl diff: %s", output)
	}
}

// Argo CD would otherwise count the Secret as part of the application, and prune it.
func TestTrackingMetadataIsNotCopiedToTheSecret(t *testing.T) {
	config := tracked(seal(t, namespace(t), "db", "planted-argocd-4"))
	applied(t, config, "Ready")
	secret := parse(t, kubectl(t, "", "get", "secret", "-n", config.GetNamespace(), "db", "-o", "json"))
	if secret.GetLabels()["app"] != "db" || secret.GetLabels()[trackingLabel] != "" || secret.GetAnnotations()[trackingID] != "" {
		t.Errorf("labels %v, annotations %v", secret.GetLabels(), secret.GetAnnotations())
	}
}

// The source hydrator writes manifests with this encoder (commitserver/commit/hydratorhelper.go).
func TestHydratedDocumentOpens(t *testing.T) {
	config := seal(t, namespace(t), "db", "planted-argocd-5")
	var hydrated bytes.Buffer
	encoder := yamlv3.NewEncoder(&hydrated)
	encoder.SetIndent(2)
	if err := encoder.Encode(&config.Object); err != nil {
		t.Fatal(err)
	}
	opened := output(t, hydrated.String(), needed(t, "ENVELOPE"), "open")
	if !strings.Contains(opened, "kind: Secret") {
		t.Errorf("%s", opened)
	}
	kubectl(t, hydrated.String(), "apply", "--server-side", "-f", "-")
	wait(t, config, "Ready")
	if server, client := modified(t, config); server || client {
		t.Errorf("out of sync: server-side diff %v, three-way diff %v", server, client)
	}
}

// The command of docs/gitops.md, with a ConfigMap that has other settings.
func TestShippedPatchIsMergedIntoTheConfigMap(t *testing.T) {
	namespace := namespace(t)
	kubectl(t, "", "create", "configmap", "argocd-cm", "-n", namespace, "--from-literal=url=https://argocd.example.com")
	kubectl(t, "", "patch", "configmap", "argocd-cm", "-n", namespace, "--patch-file", config+"argocd-cm.yaml")
	patched := parse(t, kubectl(t, "", "get", "configmap", "argocd-cm", "-n", namespace, "-o", "json"))
	data, _, err := unstructured.NestedStringMap(patched.Object, "data")
	// Health check, actions, and the setting that was there.
	if err != nil || len(data) != 3 || data["url"] == "" || data["resource.customizations.health.envelope-secrets.io_EnvelopeSecret"] != engine(t)[kind].HealthLua {
		t.Errorf("%v (%v)", data, err)
	}
}

// What the health check says of objects as the API server and the controller really leave them.
func TestHealthOfRealObjects(t *testing.T) {
	namespace := namespace(t)
	overrides := engine(t)
	expect := func(object *unstructured.Unstructured, status health.HealthStatusCode, message string) {
		t.Helper()
		found, err := health.GetResourceHealth(object, overrides)
		if err != nil || found.Status != status || !strings.HasPrefix(found.Message, message) {
			t.Errorf("%+v (%v), want %s, %s", found, err, status, message)
		}
	}
	good := seal(t, namespace, "good", "planted-argocd-6")
	created := parse(t, kubectl(t, text(t, good), "create", "--dry-run=server", "-o", "json", "-f", "-"))
	expect(created, health.HealthStatusProgressing, "Waiting for the controller")

	applied(t, good, "Ready")
	synced := live(t, good)
	expect(synced, health.HealthStatusHealthy, "secret holds 1 entry from generation 1")

	// The object right after an edit, before the controller has seen it.
	edited := seal(t, namespace, "good", "planted-argocd-7")
	stale := parse(t, kubectl(t, text(t, edited), "apply", "--server-side", "--dry-run=server", "--field-manager=argocd-controller", "-o", "json", "-f", "-"))
	expect(stale, health.HealthStatusProgressing, "Waiting for the controller")

	copied := seal(t, namespace, "good", "planted-argocd-8")
	copied.SetName("copied")
	applied(t, copied, "Stalled")
	expect(live(t, copied), health.HealthStatusDegraded, "IntegrityError: the document cannot be opened")

	foreign := seal(t, namespace, "foreign", "planted-argocd-9")
	kubectl(t, "", "create", "secret", "generic", "foreign", "-n", namespace)
	applied(t, foreign, "Stalled")
	expect(live(t, foreign), health.HealthStatusDegraded, "Conflict: ")
}
