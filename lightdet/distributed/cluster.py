"""Gives Lightning the rank of this process; reads no environment variable and starts no process itself."""

from pytorch_lightning.plugins.environments import ClusterEnvironment

from lightdet.distributed.world import World


class Cluster(ClusterEnvironment):
    """A `World` as Lightning's ClusterEnvironment.

    Lightning's own launcher would run the command line again in every rank, the whole sweep included, and would handle
    signals in a Slurm task.
    """

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world

    @property
    def creates_processes_externally(self) -> bool:
        return True

    @property
    def main_address(self) -> str:
        return self.world.address

    @property
    def main_port(self) -> int:
        return self.world.port

    @staticmethod
    def detect() -> bool:
        """False: it is passed explicitly, never detected."""
        return False

    def world_size(self) -> int:
        return self.world.ranks

    def set_world_size(self, size: int) -> None:
        """Does nothing: `world` is fixed."""

    def global_rank(self) -> int:
        return self.world.rank

    def set_global_rank(self, rank: int) -> None:
        """Does nothing: `world` is fixed."""

    def local_rank(self) -> int:
        return self.world.local_rank

    def node_rank(self) -> int:
        return self.world.node
