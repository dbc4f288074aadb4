"""`%%graphql`: a cell that is a question.

    %load_ext hub.client
    %%graphql floods
    query ($first: Int = 20) { incidents(first: $first) { nodes { reference title location } } }

The name is what the answer is called afterwards: a frame where the question is one list, else the data. Variables are
taken from the notebook's own by their names.
"""

from __future__ import annotations

import re
from typing import Any

from IPython.core.magic import Magics, cell_magic, magics_class

from hub.client.hub import Hub
from schema.errors import BadUserInput


@magics_class
class GraphQLMagics(Magics):
    @cell_magic
    def graphql(self, line: str, cell: str) -> Any:
        """%%graphql [NAME]: ask the hub that the notebook calls `hub`, or that HUB_URL names."""
        assert self.shell is not None
        names = self.shell.user_ns
        hub = names.get("hub")
        if not isinstance(hub, Hub):
            hub = names["hub"] = Hub.from_environment()
        wanted = re.findall(r"\$(\w+)\s*:", cell)
        variables = {name: names[name] for name in wanted if name in names}
        try:
            answer = hub.frame(cell, **variables)
        except BadUserInput as error:
            if "use query()" not in str(error):
                raise
            answer = hub.query(cell, **variables)
        if name := line.strip():
            names[name] = answer
        return answer
