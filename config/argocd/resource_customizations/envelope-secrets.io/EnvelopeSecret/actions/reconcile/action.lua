-- Retries immediately what failed. The controller compares the value only, and repeats it in status.lastHandledReconcileAt.
local os = require("os")
if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
obj.metadata.annotations["envelope-secrets.io/reconcile-at"] = os.date("!%Y-%m-%dT%XZ")
return obj
