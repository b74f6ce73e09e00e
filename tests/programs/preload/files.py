"""What CPython says of a served file: argv[1] emulated, argv[2] redirected."""
import errno
import io
import os
import pathlib
import shutil
import subprocess
import sys

emulated, redirected = sys.argv[1:]
print(open(emulated).read().strip(), io.open(emulated, "rb").read())
print(oct(os.stat(emulated).st_mode), os.stat(emulated).st_size, os.path.exists(emulated))
print(os.access(emulated, os.R_OK), os.access(emulated, os.X_OK), pathlib.Path(emulated).is_file())
try:
    open(emulated + "s")
except OSError as error:
    print(errno.errorcode[error.errno], error.filename == emulated + "s")
print(open(redirected).read().strip(), os.path.realpath(redirected) == redirected)
folder = os.path.dirname(redirected)
os.mkdir(folder + "/made")
print(sorted(os.listdir(folder)), sorted(e.name for e in os.scandir(folder)))
os.rename(folder + "/made", folder + "/moved")
shutil.copy(redirected, folder + "/moved/copy")
print(sorted(os.listdir(folder + "/moved")))
shutil.rmtree(folder + "/moved")
print(subprocess.run(["cat", emulated], env={}, capture_output=True, text=True).stdout.strip())
print(subprocess.run(["/bin/cat", redirected], env={"A": "b"}, capture_output=True, text=True).stdout.strip())
