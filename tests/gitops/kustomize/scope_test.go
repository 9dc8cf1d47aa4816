package kustomize

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const secret = `apiVersion: v1
kind: Secret
metadata: {name: db, namespace: prod}
stringData: {password: planted-kustomize-9Qd}
`

// TestScopeDecidesWhichRenamesOpen seals, renders and opens with the real binary.
func TestScopeDecidesWhichRenamesOpen(t *testing.T) {
	envelope := needed(t, "ENVELOPE")
	directory := write(t, map[string]string{"secret.yaml": secret})
	keyring := filepath.Join(directory, "keyring")
	if output, err := command(t, envelope, "keys", "create", "--keyring", keyring); err != nil {
		t.Fatal(output)
	}
	for _, it := range []struct {
		scope, more string
		opens       bool
	}{
		{"strict", "", true},
		{"strict", "labels: [{pairs: {team: a}, includeSelectors: true, includeTemplates: true}]\ncommonAnnotations: {a: b}\n", true},
		{"strict", "namespace: prod\n", true},
		{"strict", "namePrefix: stage-\n", false},
		{"strict", "nameSuffix: -v2\n", false},
		{"strict", "namespace: other\n", false},
		{"namespace-wide", "namePrefix: stage-\nnameSuffix: -v2\n", true},
		{"namespace-wide", "namespace: other\n", false},
		{"cluster-wide", "namePrefix: stage-\nnamespace: other\n", true},
	} {
		t.Run(it.scope+" "+strings.TrimSpace(it.more), func(t *testing.T) {
			sealed := filepath.Join(t.TempDir(), "sealed.yaml")
			output, err := command(t, envelope, "seal", "--keyring", keyring, "--scope", it.scope, "-f", filepath.Join(directory, "secret.yaml"), "-w", sealed)
			if err != nil {
				t.Fatal(output)
			}
			text, err := os.ReadFile(sealed)
			if err != nil {
				t.Fatal(err)
			}
			built := build(t, write(t, map[string]string{
				"db.yaml":            string(text),
				"kustomization.yaml": "resources: [db.yaml]\ncomponents: [config/kustomize]\n" + it.more,
			}))
			file := filepath.Join(t.TempDir(), "built.yaml")
			if err := os.WriteFile(file, []byte(built), 0o600); err != nil {
				t.Fatal(err)
			}
			output, err = command(t, envelope, "open", "--keyring", keyring, "-f", file)
			if it.opens != (err == nil) {
				t.Fatalf("%v\n%s", err, output)
			}
			if !it.opens && !strings.Contains(output, "sealed for prod/") {
				t.Errorf("the error does not name the place: %s", output)
			}
		})
	}
}
