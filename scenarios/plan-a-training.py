# %% [markdown]
# # From a scenario to a plan
# How many GPUs train Llama 3.1 8B on 1 T tokens within 30 days, on which cluster, for how much, and how sure is that?
# A notebook as a script: run the cells one by one in an editor that knows `# %%`, or the whole with `python`. It needs
# pandas; everything else comes with clustersim.

# %% A scenario from the gallery; a path of your own does as well
import pandas as pd

import clustersim as cs

scenario = cs.load_scenario("llama-3.1-8b-64gpus")
TOKENS, DAYS = 10**12, 30

# %% One run: where its time goes, what a step costs and takes, and what that rests on
result = cs.simulate(scenario)
step = pd.Series(
    {
        "step time [s]": result.step_time_s,
        "MFU": result.throughput.mfu,
        "cost of a step [USD]": result.step_cost.cost_usd,
        "energy of a step [kWh]": result.step_cost.energy_j / 3.6e6,
        "bubble": result.bubble.fraction,
    }
)
print(step.to_string(), result.step_cost.price_basis, sep="\n")

# %% Strong scaling: the same batch on more GPUs, and from where on the network is the limit
curve = cs.scaling(scenario, [16, 32, 64, 128, 256, 512])
scaled = pd.DataFrame(
    {
        "GPUs": one.point.num_gpus,
        "step time [s]": one.point.step_time_s,
        "efficiency": one.efficiency,
        "exposed": one.point.exposed_communication_share,
        "network": one.point.network_share,
    }
    for one in curve.points
).set_index("GPUs")
print(scaled.round(3).to_string(), f"the network is the limit from: {curve.network_limited_from}", sep="\n")

# %% The fewest GPUs that make the date, at the later end of the interval too
fewest = cs.fewest_gpus(scenario, TOKENS, DAYS * 86_400, sure=True)
tried = pd.DataFrame(
    {
        "GPUs": one.point.num_gpus,
        "days": one.training.time_s / 86_400,
        "days at the latest": one.training.time_interval_s[1] / 86_400,
        "cost [USD]": one.training.cost_usd,
        "in time": one.in_time,
    }
    for one in fewest.tried
).set_index("GPUs")
print(tried.round(2).to_string())

# %% The cheapest cluster of a list, each with the fewest GPUs that make the date
cheapest = cs.cheapest_cluster(scenario, ["dgx-a100", "dgx-h100", "dgx-h200", "dgx-b200"], TOKENS, DAYS * 86_400)
clusters = pd.DataFrame(
    {
        "cluster": row.cluster,
        "status": row.status,
        "GPUs": row.point.num_gpus,
        "days": row.training.time_s / 86_400,
        "cost [USD]": row.training.cost_usd,
        "energy [MWh]": row.training.energy_j / 3.6e9,
    }
    for row in cheapest.clusters
    if row.point
).set_index("cluster")
print(clusters.round(1).to_string(), f"the cheapest: {cheapest.answer}", sep="\n")

# %% The largest model of its family that the same GPUs hold in the same layout
largest = cs.largest_of_models(scenario, ["llama-3.1-*"])
print(f"{largest.answer.value} fits, {largest.next.value} does not")

# %% How much the answer moves with what it assumes: one at a time, then all together
moved = cs.sensitivity(scenario, num_samples=16)
nominal = moved.nominal
tornado = pd.DataFrame(
    {
        "assumption": swing.assumption.name,
        "time, low [%]": 100 * (swing.at_low.step_time_s / nominal.step_time_s - 1),
        "time, high [%]": 100 * (swing.at_high.step_time_s / nominal.step_time_s - 1),
        "cost, low [%]": 100 * (swing.at_low.cost_usd / nominal.cost_usd - 1),
        "cost, high [%]": 100 * (swing.at_high.cost_usd / nominal.cost_usd - 1),
    }
    for swing in moved.swings
).set_index("assumption")
print(tornado.round(1).to_string())

# %% The plan: a point, its interval, and what it rests on
answer = fewest.answer
steps = answer.training.num_steps
plan = pd.Series(
    {
        "GPUs": answer.point.num_gpus,
        "layout": answer.point.layout,
        "days": answer.training.time_s / 86_400,
        "days, nine of ten": tuple(round(time_s / 86_400, 1) for time_s in answer.training.time_interval_s),
        "cost [USD]": answer.training.cost_usd,
        "cost, nine of ten [USD]": (round(moved.cost_usd.low * steps), round(moved.cost_usd.high * steps)),
    }
)
print(plan.to_string(), *fewest.assumptions, sep="\n")
