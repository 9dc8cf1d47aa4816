package argocd

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/argoproj/argo-cd/v3/pkg/apis/application/v1alpha1"
	"github.com/argoproj/argo-cd/v3/util/lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	actions     = customizations + "actions/"
	reconcileAt = "envelope-secrets.io/reconcile-at"
)

// script is a file of the format that Argo CD's repository requires, and is the same in argocd-cm.yaml.
func script(t *testing.T, path, inConfigMap string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != inConfigMap {
		t.Errorf("argocd-cm.yaml has another script than %s:\n%s", path, inConfigMap)
	}
	return string(text)
}

// act runs an action of argocd-cm.yaml with what Argo CD gives to such scripts: basic functions, and the time.
func act(t *testing.T, object *unstructured.Unstructured, name string) *unstructured.Unstructured {
	t.Helper()
	vm := lua.VM{ResourceOverrides: engine(t)}
	action, err := vm.GetResourceAction(object, name)
	if err != nil {
		t.Fatal(err)
	}
	impacted, err := vm.ExecuteResourceAction(object, action.ActionLua, nil)
	if err != nil || len(impacted) != 1 || impacted[0].K8SOperation != lua.PatchOperation {
		t.Fatalf("%+v (%v)", impacted, err)
	}
	return impacted[0].UnstructuredObj
}

// at returns the value of the annotation, and replaces it by the time of Argo CD's test data, as its own tests do.
func at(t *testing.T, object *unstructured.Unstructured) time.Time {
	t.Helper()
	annotations := object.GetAnnotations()
	value, err := time.Parse(time.RFC3339, annotations[reconcileAt])
	if err != nil {
		t.Fatal(err)
	}
	annotations[reconcileAt] = "0001-01-01T00:00:00Z"
	object.SetAnnotations(annotations)
	return value
}

func TestConfigMapHasTheActions(t *testing.T) {
	override := v1alpha1.ResourceOverride(engine(t)[kind])
	definitions, err := override.GetActions()
	if err != nil {
		t.Fatal(err)
	}
	script(t, actions+"discovery.lua", definitions.ActionDiscoveryLua)
	directories, err := filepath.Glob(actions + "*/action.lua")
	if err != nil || len(directories) != len(definitions.Definitions) {
		t.Errorf("%d scripts, but %d definitions (%v)", len(directories), len(definitions.Definitions), err)
	}
	for _, it := range definitions.Definitions {
		script(t, actions+it.Name+"/action.lua", it.ActionLua)
	}
}

// TestActions reads the test data as the test of Argo CD's repository does.
func TestActions(t *testing.T) {
	var data struct {
		DiscoveryTests []struct {
			InputPath string                    `json:"inputPath"`
			Result    []v1alpha1.ResourceAction `json:"result"`
		} `json:"discoveryTests"`
		ActionTests []struct {
			Action             string `json:"action"`
			InputPath          string `json:"inputPath"`
			ExpectedOutputPath string `json:"expectedOutputPath"`
		} `json:"actionTests"`
	}
	read(t, actions+"action_test.yaml", &data)
	if len(data.DiscoveryTests) == 0 || len(data.ActionTests) == 0 {
		t.Fatal("no tests")
	}
	vm := lua.VM{ResourceOverrides: engine(t)}
	for _, it := range data.DiscoveryTests {
		t.Run("discovery/"+it.InputPath, func(t *testing.T) {
			object := object(t, actions+it.InputPath)
			scripts, err := vm.GetResourceActionDiscovery(object)
			if err != nil {
				t.Fatal(err)
			}
			found, err := vm.ExecuteResourceActionDiscovery(object, scripts)
			if err != nil || !reflect.DeepEqual(found, it.Result) {
				t.Errorf("%+v (%v), want %+v", found, err, it.Result)
			}
		})
	}
	for _, it := range data.ActionTests {
		t.Run(it.Action+"/"+it.InputPath, func(t *testing.T) {
			before := time.Now().Add(-time.Second)
			found := act(t, object(t, actions+it.InputPath), it.Action)
			if value := at(t, found); value.Before(before) || value.After(time.Now()) {
				t.Errorf("%s is not the time of the action", value)
			}
			// Numbers of Lua are floating: compared as text.
			if want := text(t, object(t, actions+it.ExpectedOutputPath)); text(t, found) != want {
				t.Errorf("%s\nwant\n%s", text(t, found), want)
			}
		})
	}
}

// The controller handles the request, and the Application stays in sync: the annotation is not part of the document in Git.
func TestReconcileRequestIsHandled(t *testing.T) {
	config := tracked(seal(t, namespace(t), "db", "first"))
	applied(t, config, "Ready")
	requested := act(t, live(t, config), "reconcile").GetAnnotations()[reconcileAt]
	// Argo CD sends the difference as a merge patch.
	kubectl(t, "", "patch", "-n", config.GetNamespace(), "envelopesecret", config.GetName(), "--type=merge",
		"-p", `{"metadata":{"annotations":{"`+reconcileAt+`":"`+requested+`"}}}`)
	kubectl(t, "", "wait", "-n", config.GetNamespace(), "envelopesecret/"+config.GetName(),
		"--for=jsonpath={.status.lastHandledReconcileAt}="+requested, "--timeout=60s")
	if server, client := modified(t, config); server || client {
		t.Errorf("out of sync: server-side %t, client-side %t", server, client)
	}
}
