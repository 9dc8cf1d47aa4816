-- Conforms to kstatus, except that a Secret that is known to be missing or edited is Degraded while the controller restores it.
local health = { status = "Progressing" }

if obj.metadata.annotations ~= nil and obj.metadata.annotations["envelope-secrets.io/suspend"] == "true" then
  health.status = "Suspended"
  health.message = "Reconciliation is suspended"
  return health
end

-- The status may still describe an earlier generation; a new object has observedGeneration -1.
if obj.status == nil or obj.status.observedGeneration == nil or obj.metadata.generation == nil or
    obj.status.observedGeneration ~= obj.metadata.generation then
  health.message = "Waiting for the controller to process this generation"
  return health
end

for _, condition in ipairs(obj.status.conditions or {}) do
  if condition.type == "Ready" then
    health.message = condition.message
    if condition.status == "True" then
      health.status = "Healthy"
    elseif condition.status == "False" then
      health.status = "Degraded"
    end
    if condition.status ~= "True" and condition.reason ~= nil then
      health.message = condition.reason .. ": " .. (condition.message or "")
    end
    return health
  end
end

health.message = "Waiting for the condition Ready"
return health
