#!/usr/bin/env python3
"""A USB bridge to SMBus and GPIO (Silicon Labs CP2112), as far as the kernel's driver hid-cp2112 asks: through /dev/uhid.

The kernel then has a GPIO chip with 8 lines, an I2C bus and a hidraw node. Each report that the driver sets is written down: "set NUMBER BYTES".
It goes when this program ends. Kernel include/uapi/linux/uhid.h, Silicon Labs AN495.
"""
import os
import struct

CREATE2, GET_REPORT, GET_REPORT_REPLY, SET_REPORT, SET_REPORT_REPLY = 11, 9, 10, 13, 14
FEATURE, INPUT, OUTPUT = 0xB1, 0x81, 0x91


def report(number, kind, size):
    return bytes([0x85, number, 0x95, size - 1, 0x75, 8, 0x26, 0xFF, 0, 0x15, 0, 0x09, 1, kind, 2])


def descriptor():
    sizes = {0x02: 5, 0x03: 2, 0x04: 3, 0x05: 3, 0x06: 14, 0x20: 64, 0x21: 64}
    text = bytes.fromhex("0600ff0901a101")  # a collection of the vendor's own
    text += b"".join(report(n, FEATURE, size) for n, size in sizes.items())
    text += b"".join(report(n, OUTPUT, 64) for n in (0x10, 0x11, 0x12, 0x14, 0x15, 0x17))
    text += b"".join(report(n, INPUT, 64) for n in (0x13, 0x16))
    return text + b"\xc0"


fd = os.open("/dev/uhid", os.O_RDWR)
state = {2: b"\2\0\0\0\0", 3: b"\3\0", 4: b"\4\0\xff", 5: b"\5\x0c\2", 6: b"\6\0\1\x86\xa0\2" + bytes(8)}
text = descriptor()
os.write(fd, struct.pack("<I128s64s64sHHIIII", CREATE2, b"CP2112", b"uhid/cp2112", b"1", len(text), 3, 0x10C4, 0xEA90, 0x100, 0) + text)
while True:
    event = os.read(fd, 8192)
    kind, request, number = struct.unpack_from("<IIB", event)
    if kind == GET_REPORT:
        data = state.get(number, b"")
        os.write(fd, struct.pack("<IIHH", GET_REPORT_REPLY, request, 0 if data else 5, len(data)) + data)
    elif kind == SET_REPORT:
        size = struct.unpack_from("<H", event, 10)[0]
        data = event[12:12 + size]
        print("set", number, data.hex(), flush=True)
        os.write(fd, struct.pack("<IIH", SET_REPORT_REPLY, request, 0))
