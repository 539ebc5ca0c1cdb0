"""What `swinir-jax restore` is asked to do, as far as it is known without the networks."""

import argparse
import dataclasses
from collections.abc import Mapping, Sequence

from swinir_jax.checkpoints.purposes import Choice
from swinir_jax.cli.goal import Goal
from swinir_jax.cli.inputs import Inputs, Source
from swinir_jax.cli.planning import Draft, Job, assign_targets
from swinir_jax.cli.tally import Tally
from swinir_jax.images import Header


@dataclasses.dataclass(frozen=True, kw_only=True)
class Request:
    """Pictures to restore, and the place of the results.

    Attributes:
      args: options of the command.
      inputs: all pictures, and the folders that were searched.
      headers: headers of the pictures that can be read, those of other shards included.
      goal: place of the results.
      choice: choice of the networks; None if --model names them.
      tally: outcomes, to which those of the pictures are added.
    """

    args: argparse.Namespace
    inputs: Inputs
    headers: Mapping[Source, Header]
    goal: Goal
    choice: Choice | None
    tally: Tally

    def jobs(self, drafts: Sequence[Draft]) -> list[Job]:
        """Gives each result a file, and returns the pictures of the shard.

        Args:
          drafts: pictures of all shards, because results of equal names get other names.

        Raises:
          InputError: as `assign_targets`.
        """
        jobs = assign_targets(drafts, self.goal, self.inputs.sources, compare=self.args.compare)
        return [job for job in jobs if self.args.shard.holds(job.source)]
