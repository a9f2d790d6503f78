# Training on a CPU, without root:
#   docker build -t lightdet .
#   docker run --rm --shm-size=2g -v "$PWD/datasets:/data:ro" -v "$PWD/runs:/home/lightdet/runs" lightdet \
#       train data=auto data.reader.root=/data/steel model=light recipe=light image_size=320
# The folder runs/ must be writable for user 1000, or give --user "$(id -u)". examples/runtime/Dockerfile is the image for
# the line, which needs no torch.
FROM python:3.12-slim

# lightdet's configuration, code and licence; nothing of what was trained or downloaded beside them.
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY conf conf
COPY lightdet lightdet
RUN pip install --no-cache-dir uv \
    && uv pip install --system --no-cache --torch-backend cpu '.[export]' \
    && pip uninstall --yes uv && rm -rf /src

RUN useradd --uid 1000 --home-dir /home/lightdet lightdet && install --directory --mode=1777 /home/lightdet /home/lightdet/runs
USER lightdet
WORKDIR /home/lightdet
ENV HOME=/home/lightdet LIGHTDET_DATA=/data LIGHTDET_CACHE=/home/lightdet/.cache
ENTRYPOINT ["lightdet"]
CMD ["train", "--help"]
