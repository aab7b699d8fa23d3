// A stored step as the request that continues its run. Touches no page.

// `facts` are those of the operation "latent": {id, seed, recipe, checkpoint}; the recipe is that of the whole run.
// The stage that stored the step continues there, later stages follow, and of several takes only the stored one is made.
// Null where the file does not say which run it belongs to.
export function continuation({ id, seed, recipe, checkpoint }) {
  const request = recipe?.request, reached = checkpoint.index + 1, place = checkpoint.stage;
  if (!request?.stages?.[place]) return null;
  const take = Math.max(0, (request.stages[place].seeds ?? []).indexOf(seed));
  const stages = request.stages.map((stage, at) => {
    const chosen = stage.seeds?.[take] ?? stage.seed;
    const step = at > place || (at === place && stage.checkpoint_step > reached) ? stage.checkpoint_step : null; // the others are stored already
    return { ...stage, seed: chosen, seeds: [chosen], checkpoint_step: step, ...(at === place ? { resume: id } : {}) };
  });
  return { ...request, stages, output: { ...request.output, variants: 1 } };
}
