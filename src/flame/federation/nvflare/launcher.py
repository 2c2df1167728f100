"""How a site starts the process that trains: one that dies costs that site, not the job."""

from typing import Any

from nvflare.apis.job_launcher_spec import JobReturnCode
from nvflare.app_common.job_launcher.client_process_launcher import ClientProcessJobLauncher

__all__ = ["TolerantLauncher"]


class TolerantLauncher(ClientProcessJobLauncher):
    """A training process that was killed, as when memory runs out, is a site that is lost.

    The engine's own launcher reports an error there, which ends the job for all sites.
    """

    def launch_job(self, job_meta: dict[str, Any], fl_ctx: Any) -> Any:
        """See the engine's launcher."""
        handle = super().launch_job(job_meta, fl_ctx)
        ended = handle.poll

        def poll() -> Any:
            code = ended()
            return JobReturnCode.UNKNOWN if code == JobReturnCode.EXECUTION_ERROR else code

        handle.poll = poll
        return handle
