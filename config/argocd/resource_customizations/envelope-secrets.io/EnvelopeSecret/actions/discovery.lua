local actions = {}
local annotations = obj.metadata.annotations
-- A suspended object is not reconciled on request either.
local suspended = annotations ~= nil and annotations["envelope-secrets.io/suspend"] == "true"
actions["reconcile"] = { ["disabled"] = suspended }
return actions
