# mae on NVIDIA GPUs: docker build -f docs/docker/cuda.Dockerfile -t mae-cuda .
#                     docker run --rm --gpus all -v DATA:/data -v RUNS:/runs mae-cuda pretrain --device cuda --data /data --out /runs/first
# The image is NVIDIA's, for its toolkit; Debian's packages of the rest are Ubuntu's there.
FROM nvidia/cuda:13.0.2-devel-ubuntu24.04
COPY . /mae
WORKDIR /mae
RUN script/setup build \
    && cmake --preset package -DMAE_UNITY=ON \
    && cmake --build --preset package \
    && cmake --install build/package --prefix /opt/mae --strip
ENV PATH=/opt/mae/bin:$PATH
ENTRYPOINT ["mae"]
