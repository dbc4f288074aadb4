# Two commands: `make up` starts the hub, `make test` tests it. Everything else stands in hub/bootstrap.py.

.PHONY: help up test lint clean

help:
	@python3 hub/bootstrap.py help

up:
	@python3 hub/bootstrap.py up

test:
	@python3 hub/bootstrap.py test $(ARGS)

lint:
	@python3 hub/bootstrap.py lint

clean:
	@python3 hub/bootstrap.py clean
