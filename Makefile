# Every command takes what it needs from scripts/; `make test` is what CI runs.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help run build test lint fmt crash chaos simulate bench setup clean-tools fuzz mutate

# `make run PROFILE=release` builds optimized; the default is the profile that is ready soonest.
PROFILE ?= dev
TARGET_DIR := target/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))

help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

run: build ## Build and start the demo (DEMO_SECONDS=20 ends it by itself)
	@$(TARGET_DIR)/tidings demo

build: ## Build the binary (PROFILE=dev|release|dist)
	cargo build --locked --profile $(PROFILE) --bin tidings

test: ## Install what is missing, then run every check and test
	@scripts/test

lint: ## Form, lints, dependencies
	@scripts/setup
	@scripts/lint

fmt: ## Format the code
	cargo fmt --all

crash: ## Kill the server TIDINGS_KILLS times (50) while it takes in and delivers, and reconcile, on both databases
	@scripts/crash

chaos: ## Break three nodes, PostgreSQL and NATS in every way for MINUTES (10), and reconcile (SEED=n: those faults again)
	@MINUTES=$(MINUTES) scripts/chaos

simulate: ## Run SEEDS (1000) seeds from FROM (0) on in simulated worlds; a seed that fails can be run again alone
	@SEEDS=$(SEEDS) FROM=$(FROM) REPORT=$(REPORT) scripts/simulate

bench: ## Every figure of the README, on this machine
	cargo build --locked --release --bin tidings --bin tidings-bench
	@target/release/tidings-bench --docs docs

setup: ## Install what the checks need and the machine has not
	@scripts/setup

clean-tools: ## Remove what `make setup` put into this folder
	rm -rf .tools

MINUTES ?= 10
fuzz: ## Hand every parser of outside bytes made-up input for MINUTES over all of them (10)
	@scripts/fuzz --minutes $(MINUTES)

mutate: ## Take away one mechanism at a time and demand that a test fails (ONLY=name for one)
	@scripts/mutate $(if $(ONLY),--only $(ONLY))
