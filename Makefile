# Every target makes what it needs first; nothing here touches the host's network or Open vSwitch.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PY := .venv/bin/python
# Tests wait more than they work, so one worker more than there are cores. 0 is one process (for pdb).
WORKERS ?= $(shell n=$$(( $$(nproc) + 1 )); echo $$(( n < 8 ? n : 8 )))
PYTEST = $(PY) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --durations 10

.PHONY: help ready light run test unit one functional lint format types bench test-fullstack test-neutron test-nova stateful recovery soak docs/config docs/examples docs/errors docs/requirements docs/antispoofing docs/lifecycle clean hitless bench/groups bench/qos late

help: ## say what there is
	@awk -F':.*## ' '/^[a-z\/]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

ready: ## system packages and .venv (the other targets do this themselves)
	@tools/bootstrap

light: # the same without what guests in tests need, nova and OVN
	@PURPOSE=unit tools/bootstrap

run: ## plug ports in a sandbox and prove it with frames; KEEP=1 leaves it up
	@PURPOSE=run tools/bootstrap
	@KEEP=$(KEEP) PYTHONPATH=tests $(PY) -m support.demo

test: ready ## all test rings, on all cores; ARGS="-k name" chooses, WORKERS=0 is one process
	@$(PYTEST) $(ARGS)

unit: light ## the ring that needs no privileges; AREA=cli is one directory of it, or AREA=plan the file test_plan.py
	@$(PYTEST) $(if $(AREA),$(or $(wildcard tests/unit/$(AREA) tests/unit/test_$(AREA).py),$(error there is no tests/unit/$(AREA) and no tests/unit/test_$(AREA).py)),tests/unit) $(ARGS)

one: light ## one file or one test, in one process: make one T=tests/unit/test_plan.py::test_name
	@$(PY) -m pytest $(or $(T),$(error say which: T=tests/unit/test_plan.py)) $(ARGS)

late: light ## tests with every other thread late, or with LATE=looks the test itself; T=tests/functional for another ring
	@$(PY) -m pytest -q -p support.late $(or $(T),tests/unit) $(ARGS)

functional: ready ## the rings on a real kernel and Open vSwitch
	@$(PYTEST) tests/contract tests/functional tests/restart $(ARGS)

lint: light ## ruff and the import contracts, all of them whatever the first says
	@bad=0; .venv/bin/ruff check . || bad=1; .venv/bin/ruff format --check . || bad=1; \
	    .venv/bin/lint-imports || bad=1; exit $$bad

format: light ## ruff's formatter and safe fixes
	@.venv/bin/ruff format .
	@.venv/bin/ruff check --fix .

types: light ## mypy --strict
	@.venv/bin/mypy

test-fullstack: ready ## Neutron's own suite with vifd as the agent; TESTS="words of ids", AGENT=stock|mixed|null, JOBS=2
	@tools/neutron-env
	@PYTHONPATH=tests $(PY) -m fullstack.run --agent $(or $(AGENT),vifd) --jobs $(or $(JOBS),1) --tests "$$TESTS"

test-neutron: ready ## vifd and a real Neutron server: RabbitMQ, MariaDB, API, RPC; ARGS="-k bus"
	@tools/neutron-env old
	@$(PY) -m pytest tests/system/neutron $(ARGS)

deb: ready docs ## the Debian packages, into dist/
	@tools/deb

dist: ready ## wheels and sdists of everything, into dist/
	@for it in . integrations/nova integrations/neutron; do $(PY) -m build --quiet --outdir dist $$it; done
	@ls dist

test-host: ready ## a booted Debian with the packages: install, plug, restart, reboot, upgrade, purge
	@tools/host-image
	@[ -e dist/.made ] && [ -z "$$(find agent plugins integrations packaging etc setup.cfg -newer dist/.made -print -quit)" ] || { $(MAKE) --no-print-directory deb && touch dist/.made; }
	@tools/deb-previous
	@VIFD_TEST_HOST=1 $(PY) -m pytest -v tests/host $(ARGS)

test-kernel: ready ## what needs connections across bridges, or VLAN devices, in a guest with Debian's kernel; CHANGES=1000 for hitless at full size
	@tools/guest-kernel
	@$(PY) tools/in_guest.py env VIFD_CHANGES=$(or $(CHANGES),20) $(PY) -m pytest --color=no -p no:cacheprovider \
	    -o faulthandler_timeout=0 --needing bridge_tracking,kernel:8021q $(or $(ARGS),-n 2 tests/functional/groups tests/functional/drivers tests/functional/trunks tests/functional/test_packet_log.py tests/contract/test_linuxbridge_real.py tests/restart/test_kill_bridge_groups.py tests/restart/test_kill_bridge_trunks.py)

test-datapath: ready ## what works with Open vSwitch, on the kernel's datapath, in a guest with Debian's kernel; ARGS=tests/functional/groups
	@tools/guest-kernel
	@$(PY) tools/in_guest.py env VIFD_DATAPATH=system VIFD_CHANGES=$(or $(CHANGES),20) $(PY) -m pytest --color=no \
	    -p no:cacheprovider -o faulthandler_timeout=0 $(or $(ARGS),-n 2 -k "not fake" tests/contract/test_ovs_real.py \
	    tests/functional/test_ovs_vlan.py tests/functional/test_ovs_antispoofing.py tests/functional/test_ovs_isolation.py \
	    tests/functional/groups tests/functional/trunks tests/functional/tunnels tests/functional/qos)

test-vlan: ready ## what needs VLAN devices, under a kernel that is a program: seconds to start; ARGS="tests/restart -k trunk"
	@tools/in_uml $(PY) -m pytest --color=no -p no:cacheprovider -o faulthandler_timeout=0 \
	    --needing kernel:8021q,bridge:vlan_filtering $(or $(ARGS),tests/functional/trunks tests/functional/test_linuxbridge_uplinks.py tests/contract/test_linuxbridge_real.py tests/restart/test_kill_bridge_trunks.py)

test-newer-ovs: ready ## what works with Open vSwitch, with that of Debian 13 on this host; SUITE=forky, ARGS=tests/functional/groups
	@tools/newer-ovs $(PY) -m pytest --color=no -p no:cacheprovider --dist loadfile \
	    $(or $(ARGS),-n 3 tests/functional tests/restart tests/contract/test_ovs_real.py)

bench: ## the benchmarks; prints a table and keeps it in bench/RESULTS.md
	@EXTRAS=test,dev,docs,bench tools/bootstrap
	@$(PY) bench/plug.py $(ARGS)

test-nova: ready ## nova's own functional tests through the shim (400 MB once, then minutes)
	@tools/nova-env functional
	@$(PY) -m pytest -s tests/system/nova/test_upstream.py $(ARGS)

stateful: ready ## any history of a host: RUNS=500, or SEED=7 for one anew
	@STATEFUL_RUNS=$(RUNS) STATEFUL_SEED=$(SEED) $(PY) -m pytest -s tests/restart/test_stateful.py tests/functional/groups/test_history.py tests/functional/trunks/test_history.py $(ARGS)

hitless: ready ## 1000 changes of rules and 500 of members under traffic: lost 0, leaked 0
	@VIFD_CHANGES=1000 $(PY) -m pytest -s -o faulthandler_timeout=0 tests/functional/groups/test_hitless.py $(ARGS)

bench/groups: ready ## what a change of a security group costs
	@PYTHONPATH=tests $(PY) bench/groups.py $(ARGS)

bench/qos: ready ## how well limits of a rate hold, beside the kernel's
	@PYTHONPATH=tests $(PY) bench/qos.py $(ARGS)

recovery: ## how long restarts take and what guests notice; keeps bench/RECOVERY.md
	@EXTRAS=test,dev,docs,bench tools/bootstrap
	@PYTHONPATH=tests $(PY) bench/recovery.py --keep $(ARGS)

.PHONY: migration
migration: ready ## real guests moved between two hosts: what their peers notice; keeps bench/MIGRATION.md
	@PYTHONPATH=tests $(PY) bench/migration.py --keep $(ARGS)

.PHONY: test-migration
test-migration: ready ## every trouble of a migration by every way, and ten guests at once (minutes); ARGS="-k ten"
	@VIFD_MOVES=all $(PY) -m pytest -v -s -o faulthandler_timeout=0 tests/system/test_migration_killed.py \
	    tests/system/test_migration_failures.py tests/system/test_migration_ten.py $(ARGS)

soak: ## whether anything grows over 20,000 plugs and unplugs; keeps bench/SOAK.md
	@EXTRAS=test,dev,docs,bench tools/bootstrap
	@$(PY) bench/soak.py $(ARGS)

.PHONY: docs deb dist test-datapath test-host test-kernel test-newer-ovs test-vlan test-ui docs/screenshots
docs: ready ## the documentation: build/docs/html, and the manual pages in build/docs/man
	@$(PY) -m sphinx -q -W --keep-going -b html docs build/docs/html
	@$(PY) -m sphinx -q -W -b man -d build/docs/.doctrees-man docs build/docs/man
	@echo "build/docs/html/index.html, and build/docs/man"

test-ui: ready ## vifctl ui in a headless Chromium (package chromium)
	@VIFD_TEST_UI=1 $(PY) -m pytest -v tests/functional/test_ui.py $(ARGS)

docs/screenshots: ready ## write docs/images/ui-*.png anew, by the test of the page; needs chromium
	@VIFD_SCREENSHOTS=$(CURDIR)/docs/images $(PY) -m pytest -q tests/functional/test_ui.py

docs/config: ready ## write etc/agent.conf anew from the options in the code
	@$(PY) -m vifd.daemon.config sample > etc/agent.conf.new && mv etc/agent.conf.new etc/agent.conf

docs/examples: ready ## write examples/*.json anew from vifctl's samples
	@for name in $$($(PY) -c 'from vifd.cli.samples import SAMPLES; print(*SAMPLES)'); do \
	    .venv/bin/vifctl port example $$name > examples/$$name.json; done

docs/errors: ready ## write docs/errors.md anew from the error classes
	@$(PY) -m vifd.errors.page > docs/errors.md.new && mv docs/errors.md.new docs/errors.md

docs/requirements: ready ## write docs/requirements.md anew from the rules
	@$(PY) -m vifd.capabilities.table > docs/requirements.md.new && mv docs/requirements.md.new docs/requirements.md

docs/lifecycle: ready ## write docs/design/lifecycle.md anew from the table
	@$(PY) -m vifd.model.lifecycle_page > docs/lifecycle.new && mv docs/lifecycle.new docs/design/lifecycle.md

docs/antispoofing: ready ## write docs/design/anti-spoofing.md anew from the policy
	@$(PY) -m vifd.policy.page > docs/anti-spoofing.new && mv docs/anti-spoofing.new docs/design/anti-spoofing.md

clean: ## remove everything that was made here
	rm -rf .venv build dist htmlcov .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache \
	    .import_linter_cache
	find . -name __pycache__ -prune -exec rm -rf {} + -o -name '*.egg-info' -prune -exec rm -rf {} +
