-- Fleets, sources and stacks as their Fleet file defines them, and their condition.
create table fleets (
  name text primary key,
  digest text not null
);

create table sources (
  fleet text not null references fleets on delete cascade,
  name text not null,
  spec jsonb not null,
  next_sync timestamptz not null default clock_timestamp(),
  failures integer not null default 0,
  problem jsonb,
  primary key (fleet, name)
);

create table stacks (
  name text primary key,
  number bigint generated always as identity unique,
  fleet text not null references fleets,
  source text not null,
  claim text not null,
  spec jsonb not null,
  removed boolean not null default false,
  suspended boolean not null default false,
  -- The commit to reconcile, and the last one that was applied or needed no change; trees are those of the stack's path.
  commit text not null default '',
  tree text not null default '',
  applied_commit text not null default '',
  applied_tree text not null default '',
  phase text not null default 'pending',
  drifted boolean not null default false,
  message text not null default '',
  failures integer not null default 0,
  next_run timestamptz,
  last_success timestamptz,
  constraint one_stack_a_claim unique (claim) deferrable initially deferred,
  foreign key (fleet, source) references sources (fleet, name) deferrable initially deferred
);
create index stacks_due on stacks (next_run) where next_run is not null and not suspended and not removed;

create table runs (
  id bigint generated always as identity primary key,
  stack text not null references stacks (name) on delete cascade,
  number bigint not null references stacks (number) on delete cascade,
  commit text not null,
  tree text not null,
  mode text not null,
  worker text not null,
  period tstzrange not null,
  -- The end of the worker's lease: after it, the run of a worker that is gone is closed.
  lease timestamptz not null,
  outcome text,
  message text not null default '',
  digest text not null default '',
  plan text,
  report text,
  diagnostics text,
  -- A range of one number instead of `number with =`, which would need an extension.
  constraint one_run_at_a_time exclude using gist (int8range(number, number, '[]') with &&, period with &&)
);
create index runs_of_stack on runs (stack, id desc);
create index runs_open on runs (lease) where outcome is null;

create table events (
  run bigint not null references runs on delete cascade,
  number integer not null,
  at timestamptz not null default clock_timestamp(),
  content jsonb not null,
  primary key (run, number)
);

create table approvals (
  id bigint generated always as identity primary key,
  stack text not null references stacks (name) on delete cascade,
  run bigint not null references runs on delete cascade,
  digest text not null,
  tree text not null,
  commit text not null,
  reason text not null,
  status text not null default 'pending'
    check (status in ('pending', 'approved', 'rejected', 'stale', 'applied')),
  requested timestamptz not null default clock_timestamp(),
  decided timestamptz,
  decided_by text not null default ''
);
create unique index one_open_approval on approvals (stack) where status in ('pending', 'approved');
create index approvals_of_stack on approvals (stack, id desc);
