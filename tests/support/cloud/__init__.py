"""A real Neutron for tests: RabbitMQ, MariaDB, the API and the RPC server."""
