//! Agents, their tools, tickets and runs.
