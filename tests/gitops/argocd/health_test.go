// Package argocd tests config/argocd, and how Argo CD compares and hydrates sealed documents, with Argo CD's own packages: its Lua engine
// (util/lua) and its diff (gitops-engine). `cargo xtask test gitops` runs it.
package argocd

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/argoproj/argo-cd/gitops-engine/pkg/health"
	"github.com/argoproj/argo-cd/v3/util/lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

const (
	config         = "../../../config/argocd/"
	customizations = config + "resource_customizations/envelope-secrets.io/EnvelopeSecret/"
	kind           = "envelope-secrets.io/EnvelopeSecret"
)

func read(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(text, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func object(t *testing.T, path string) *unstructured.Unstructured {
	t.Helper()
	it := &unstructured.Unstructured{}
	read(t, path, &it.Object)
	return it
}

// engine is Argo CD's engine with the scripts of our argocd-cm.yaml. As in a real installation, only basic Lua functions are available.
func engine(t *testing.T) lua.ResourceHealthOverrides {
	t.Helper()
	var cm struct{ Data map[string]string }
	read(t, config+"argocd-cm.yaml", &cm)
	overrides := lua.ResourceHealthOverrides{}
	for key, script := range cm.Data {
		// The form that Argo CD documents for argocd-cm: the slash of the kind is an underscore.
		name, isHealth := strings.CutPrefix(key, "resource.customizations.health.")
		name, isActions := strings.CutPrefix(name, "resource.customizations.actions.")
		name = strings.Replace(name, "_", "/", 1)
		override := overrides[name]
		switch {
		case isHealth:
			override.HealthLua = script
		case isActions:
			override.Actions = script
		default:
			t.Fatalf("unexpected key %s", key)
		}
		overrides[name] = override
	}
	return overrides
}

func TestConfigMapHasTheScript(t *testing.T) {
	script, err := os.ReadFile(customizations + "health.lua")
	if err != nil {
		t.Fatal(err)
	}
	if found := engine(t)[kind].HealthLua; found != string(script) {
		t.Errorf("argocd-cm.yaml has another script:\n%s", found)
	}
}

// TestHealthScript reads the test data as the test of Argo CD's repository does.
func TestHealthScript(t *testing.T) {
	var data struct {
		Tests []struct {
			InputPath    string              `json:"inputPath"`
			HealthStatus health.HealthStatus `json:"healthStatus"`
		} `json:"tests"`
	}
	read(t, customizations+"health_test.yaml", &data)
	script, err := os.ReadFile(customizations + "health.lua")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(customizations + "testdata/*.yaml")
	if err != nil || len(files) == 0 || len(files) != len(data.Tests) {
		t.Errorf("%d files of test data and %d tests (%v)", len(files), len(data.Tests), err)
	}
	for _, it := range data.Tests {
		t.Run(it.InputPath, func(t *testing.T) {
			object := object(t, customizations+it.InputPath)
			// Argo CD opens all libraries for scripts of its repository, and only the basic ones for those of argocd-cm.
			for _, open := range []bool{true, false} {
				found, err := lua.VM{UseOpenLibs: open}.ExecuteHealthLua(object, string(script))
				if err != nil || *found != it.HealthStatus {
					t.Errorf("%+v (%v), want %+v", found, err, it.HealthStatus)
				}
			}
			found, err := health.GetResourceHealth(object, engine(t))
			if err != nil || *found != it.HealthStatus {
				t.Errorf("with argocd-cm: %+v (%v), want %+v", found, err, it.HealthStatus)
			}
		})
	}
}

// Without a script, Argo CD has no health for the kind, and a sync wave does not wait for it.
func TestArgoCDHasNoScriptOfItsOwn(t *testing.T) {
	found, err := health.GetResourceHealth(object(t, customizations+"testdata/healthy.yaml"), lua.ResourceHealthOverrides{})
	if found != nil || err != nil {
		t.Errorf("%+v (%v): Argo CD now has a script; compare it with ours", found, err)
	}
}

func TestDeletionIsProgressing(t *testing.T) {
	object := object(t, customizations+"testdata/healthy.yaml")
	metadata := object.Object["metadata"].(map[string]any)
	metadata["deletionTimestamp"] = "2026-11-24T00:00:00Z"
	found, err := health.GetResourceHealth(object, engine(t))
	if err != nil || found.Status != health.HealthStatusProgressing || found.Message != "Pending deletion" {
		t.Errorf("%+v (%v)", found, err)
	}
}
