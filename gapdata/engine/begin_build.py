"""Begin a build: plan it, compare the plan with the build that is there, and remove what the new one replaces."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from gapdata.engine.build_directory import (
    Intention,
    Kind,
    clear,
    read_intention,
    refuse_without_plan,
    write_intention,
)
from gapdata.engine.estimate import expected_bytes
from gapdata.engine.make_plan import make_plan
from gapdata.engine.plan import Plan, read_plan, write_plan
from gapdata.engine.request import BuildRequest
from gapdata.engine.retry import Retry, plan_retry
from gapdata.errors import UsageError
from gapdata.files.storage import Location
from gapdata.shards.fingerprint import PLAN_NAME, planned_fingerprint

NAMED_DIFFERENCES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """A build that is planned and not begun."""

    plan: Plan
    retry: Retry | None = None  # what is built again with --retry-failed
    intention: Intention | None = None  # what to remove; None: nothing, or it was removed before a stop

    @property
    def replaces_shards(self) -> bool:
        """Return whether shards that are there will be built again."""
        return self.intention is not None and (self.retry is None or bool(self.retry.shards))


def plan_beginning(request: BuildRequest) -> Beginning:
    """Plan a request and compare the plan with the one in the output directory, if a build is there.

    Raises:
        UsageError: the directory holds a build of another recipe or other sources, or something that is not a build.
    """
    plan = make_plan(request.dataset, request.recipe, request.scene_ids, request.annotations)
    retry = None
    if not request.overwrite and request.out.exists():
        retry = _retry(request, plan)
    return Beginning(plan=plan, retry=retry, intention=_intention(request, plan, retry))


def prepare_directory(request: BuildRequest, begun: Beginning, announce: Callable[[str], None]) -> None:
    """Remove what the request replaces, once, and write the plan."""
    out, plan = request.out, begun.plan
    if begun.intention is None:
        if request.overwrite or begun.retry is not None:
            announce(f"going on with --{'overwrite' if request.overwrite else 'retry-failed'} where it was stopped")
        elif not (out / PLAN_NAME).exists():
            write_plan(plan, out, expected_bytes(plan.scenes, plan.recipe))
        return
    write_intention(out, replace(begun.intention, done=False))
    if begun.retry is None:
        clear(out)
    else:
        announce(str(begun.retry))
        # Commits go before the plan changes: whatever happens in between, no shard counts as built from sources
        # that it was not built from.
        for name in begun.retry.shards:
            (out / f"{name}.json").unlink(missing_ok=True)
    write_plan(plan, out, expected_bytes(plan.scenes, plan.recipe))
    write_intention(out, begun.intention)


def refuse_difference(existing: Plan, wanted: Plan, build: Location, *, retriable: bool = False) -> None:
    """Refuse to go on with a build of another recipe or other sources.

    Args:
        existing: the plan of the build.
        wanted: the plan of the request.
        build: the directory.
        retriable: whether everything that differs was quarantined, so that ``--retry-failed`` would go on.

    Raises:
        UsageError: they differ; the error names the differences.
    """
    if existing.fingerprint == wanted.fingerprint:
        return
    before, after = _flat(existing.recipe.to_dict()), _flat(wanted.recipe.to_dict())
    changes = [
        f"{name} was {before.get(name)} and is {after[name]}" for name in after if before.get(name) != after[name]
    ]
    old = {scene.scene_id: (scene.digest, scene.annotations) for scene in existing.scenes}
    new = {scene.scene_id: (scene.digest, scene.annotations) for scene in wanted.scenes}
    changes += [f"{scene} is new" for scene in sorted(new.keys() - old.keys())]
    changes += [f"{scene} is gone" for scene in sorted(old.keys() - new.keys())]
    for scene in sorted(new.keys() & old.keys()):
        changes += [f"{scene} has changed"] if old[scene][0] != new[scene][0] else []
        changes += [f"the annotations of {scene} have changed"] if old[scene][1] != new[scene][1] else []
    named = ", ".join(changes[:NAMED_DIFFERENCES])
    more = f" and {len(changes) - NAMED_DIFFERENCES} more" if len(changes) > NAMED_DIFFERENCES else ""
    ways = "build into a new --out directory, or start over with --overwrite"
    raise UsageError(
        f"holds a build of another recipe or other sources: {named}{more}",
        path=build,
        cure=f"build again what was quarantined with --retry-failed, {ways}" if retriable else ways,
    )


def _retry(request: BuildRequest, plan: Plan) -> Retry | None:
    """Compare the plan with the build that is there; return what ``--retry-failed`` builds again."""
    out = request.out
    if not (out / PLAN_NAME).exists():
        refuse_without_plan(out)
        return None
    existing = read_plan(out)
    repaired, retry = plan_retry(existing, plan, out)
    if request.retry_failed:
        refuse_difference(repaired, plan, out)
        return retry
    refuse_difference(existing, plan, out, retriable=repaired.fingerprint == plan.fingerprint)
    return None


def _intention(request: BuildRequest, plan: Plan, retry: Retry | None) -> Intention | None:
    kind: Kind | None = "overwrite" if request.overwrite else None if retry is None else "retry-failed"
    if kind is None:
        return None
    wanted = Intention(kind=kind, fingerprint=plan.fingerprint, done=True)
    done = read_intention(request.out) == wanted and planned_fingerprint(request.out) == plan.fingerprint
    return None if done else wanted


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat.update(_flat(value, f"{prefix}{name}."))
        else:
            flat[f"{prefix}{name}"] = value
    return flat
