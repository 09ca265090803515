-- Health of an SLO: measured is Healthy, whatever the verdict is (a spent budget is no fault of the object); waiting for people is
-- Suspended, refused or expired is Degraded, and while nobody can tell how much is left it is Progressing.
local waits = {
  SeatsMissing = true,
  FloorNotMet = true,
  ObjectionPresent = true,
  ObligationOverdue = true,
}

local health = { status = "Progressing", message = "Miax has not looked at it yet" }
if obj.status == nil or obj.status.observedGeneration ~= obj.metadata.generation then
  return health
end

local conditions = {}
for _, condition in ipairs(obj.status.conditions or {}) do
  conditions[condition.type] = condition
end
local ready, stalled = conditions.Ready, conditions.Stalled
if ready == nil then
  return health
end

health.message = ready.message
if ready.status == "True" then
  health.status = "Healthy"
elseif stalled ~= nil and stalled.status == "True" then
  health.status = "Degraded"
elseif waits[ready.reason] then
  health.status = "Suspended"
end
return health
