// Tests with Flux's real source-controller and kustomize-controller, which are built from the modules in the directories below.
module envelope-secrets.io/gitops/flux

go 1.26.0
