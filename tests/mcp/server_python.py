"""A server of the Python SDK over standard input and output, with the customary tool that lists agents."""

from mcp.server import MCPServer

server = MCPServer("agents of the test")


@server.tool()
def agent_list(filter: str = "all") -> dict:
    """Lists the agents."""
    return {
        "agents": [
            {"id": "coder-1", "type": "coder", "status": "active", "createdAt": "2026-01-02T03:04:05Z"},
            {"id": "analyst-1", "type": "analyst", "status": "idle", "tokenUsage": 12},
        ],
        "count": 2,
    }


server.run("stdio")
