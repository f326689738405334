FROM lang-base:1
RUN --mount=type=cache,target=/c/d --mount=type=tmpfs,target=/t --mount=type=bind,source=dir,target=/b cat /b/a > /x; touch /c/d/y /t/z
