# mae on the CPU: docker build -f docs/docker/cpu.Dockerfile -t mae .   then   docker run --rm mae --help
FROM debian:12 AS build
COPY . /mae
WORKDIR /mae
RUN script/setup build \
    && cmake --preset release -DMAE_CUDA=OFF -DMAE_UNITY=ON \
    && cmake --build --preset release \
    && cmake --install build/release --prefix /opt/mae --strip

FROM debian:12
RUN apt-get update && apt-get install -y --no-install-recommends libopenblas0-openmp libjpeg62-turbo libtiff6 \
    libarchive13 libzip4 libfmt9 libgomp1 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/mae /opt/mae
ENV PATH=/opt/mae/bin:$PATH
ENTRYPOINT ["mae"]
