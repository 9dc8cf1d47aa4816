// Tests with Flux's real source-controller, kustomize-controller and helm-controller, which are built from the modules in the directories below.
module envelope-secrets.io/gitops/flux

go 1.26.0
