# dbc-iac in a small image, as a user without rights. To write a state in your directory it has to be you:
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/work" -e DBC_WALLET_SEED dbc-iac plan
FROM python:3.12-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE action.yml ./
COPY dbc_iac dbc_iac
COPY examples examples
RUN python -m venv /opt/dbc-iac && /opt/dbc-iac/bin/pip install --no-cache-dir '.[controller,graph,mnemonic,objectstore,postgres]'

FROM python:3.12-slim
COPY --from=build /opt/dbc-iac /opt/dbc-iac
# For the controller, which fetches with them.
RUN apt-get update && apt-get install -y --no-install-recommends git openssh-client && rm -rf /var/lib/apt/lists/*
RUN useradd --create-home --uid 10001 dbc
ENV PATH=/opt/dbc-iac/bin:$PATH PYTHONDONTWRITEBYTECODE=1
# Sessions are kept in it, also for whom --user names.
ENV HOME=/tmp
USER 10001
WORKDIR /work
ENTRYPOINT ["dbc-iac"]
CMD ["--help"]
