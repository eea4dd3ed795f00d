# The commands a newcomer needs. All but `clean` run `setup` first; it is quick when there is nothing to do.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup demo test bench soak clean

# Two runs on one machine must not hear each other. 1..100 are safe on every platform.
ifndef ROS_DOMAIN_ID
export ROS_DOMAIN_ID := $(shell echo $$(($$$$ % 100 + 1)))
endif
IN_ENV := . scripts/env.sh &&

help: ## show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /make \1\t/' | expand -t 12

setup: ## make .venv with all dependencies and ROS 2, build the ROS package (ROS_DISTRO=kilted: not Jazzy)
	@scripts/setup.sh

demo: setup ## play a bag of two people through the real node and report the error in demo_out/
	@$(IN_ENV) python -m occpose_ros.demo --force

test: setup ## lint, format check, type check, all tests
	@$(IN_ENV) ruff check
	@$(IN_ENV) ruff format --check
	@$(IN_ENV) mypy
	@$(IN_ENV) ROS_PYTHON_CHECK_FIELDS=1 OMP_NUM_THREADS=1 python -m pytest -n auto --maxprocesses 4 --dist loadfile --max-worker-restart 0

bench: setup ## measure models, pipeline, node, replay and training on this machine
	@$(IN_ENV) occpose bench

soak: setup ## run the node for ten minutes at 60 Hz: does it grow, slow down, lose messages?
	@$(IN_ENV) python -m occpose_ros.soak

clean: ## remove what the other commands made
	rm -rf .venv .ros build install log dist demo_out *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
