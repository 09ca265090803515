-- Health of a Manifest: in force or followed by a newer one is Healthy, waiting for people is Suspended, refused, ended or about
-- to end is Degraded.
local waits = {
  SeatsMissing = true,
  FloorNotMet = true,
  ObjectionPresent = true,
  ObligationOverdue = true,
  NotYetValid = true,
  RatificationPending = true,
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
elseif ready.reason == "CharterExpiring" then
  -- It is in force still; somebody must adopt the next version before its end.
  health.status = "Degraded"
elseif waits[ready.reason] then
  health.status = "Suspended"
end
return health
